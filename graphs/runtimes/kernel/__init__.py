"""The one way a batch is computed, whatever the runtime.

A kernel holds a few nodes of a graph, their models loaded. Given a batch it carries out each node
on the columns it reads, checks what comes back against the declaration, and isolates rows that
make a node fail.
"""

from graphs.runtimes.kernel.batch import (
    Calculating,
    Computed,
    Kernel,
    check_input,
    check_parameters,
)
from graphs.runtimes.kernel.steps import RejectedRow

__all__ = ["Calculating", "Computed", "Kernel", "RejectedRow", "check_input", "check_parameters"]
