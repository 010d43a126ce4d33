"""Every error this package raises on purpose.

GraphsError
├── GraphError                 the author's graph is wrong (nothing was started)
│   ├── GraphNotFound          a graph reference does not import, or is not allowed here
│   ├── AuthoringError         Python that cannot be traced into a graph
│   └── CheckFailed            one or more structural checks failed; holds all of them
├── ProfileError               a scaling profile is wrong
├── NodeError                  a node broke its own declaration (names, types, row count)
├── InputError                 the input of a run is wrong
│   ├── InputNotFound          bucket, prefix or file is missing
│   ├── InputChanged           an input object changed between planning and reading
│   └── SchemaMismatch         a column is missing or has the wrong type
├── StorageError               the object store refused or misbehaved
│   ├── BucketNotFound         the bucket does not exist
│   ├── ObjectNotFound         there is no object at that path
│   ├── AlreadyExists          a conditional create lost: an object is there
│   ├── Superseded             a conditional replace lost: the object has changed
│   ├── CredentialsRejected    the store does not accept the credentials
│   ├── ConditionalPutIgnored  the store ignores If-None-Match or If-Match
│   └── CommitConflict         somebody else committed the same partition meanwhile
├── RunFailed                  an offline run could not be completed
│   ├── WorkerLost             a shard kept taking its worker down
│   ├── NodeStalled            a node did not come back from a batch
│   ├── ErrorBudgetSpent       too many rejected rows
│   └── CountsDoNotAddUp       rows in ≠ rows out + rejected + filtered
└── PromotionError             a release did not go live
    ├── GateFailed             no passing report by this version
    ├── DeployFailed           the candidate did not become healthy
    ├── ParityFailed           online answers differ from offline rows
    └── ReleaseInProgress      another release of the graph is under way

Errors cross process borders, so each passes all its arguments to ``super().__init__`` (they pickle)
and formats in ``__str__``. ``is_retryable`` says whether trying again unchanged can help.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class GraphsError(Exception):
    """What was wrong, where, and what to do next.

    Args:
        problem: what was wrong, with the offending value.
        where: the graph, node, file, shard or key concerned; empty when there is none.
        remedy: what the reader should do next; empty when there is nothing to do.
    """

    is_retryable: ClassVar[bool] = False

    def __init__(self, problem: str, where: str = "", remedy: str = "") -> None:
        super().__init__(problem, where, remedy)
        self.problem = problem
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        return f"{text}. {self.remedy}" if self.remedy else text


class GraphError(GraphsError):
    """The author's graph is wrong; nothing was started."""


class GraphNotFound(GraphError):
    """A graph reference does not import, or is not on the cluster's allow-list."""


class AuthoringError(GraphError):
    """Python that cannot be traced into a graph."""


class CheckFailed(GraphError):
    """One or more structural checks failed.

    Args:
        graph: the graph's name or reference.
        problems: every problem, each naming node, port and the author's line.
        source: file and line of the graph; empty when they are not known.
    """

    def __init__(self, graph: str, problems: Sequence[str], source: str = "") -> None:
        super().__init__("\n".join(problems), where=f"graph {graph!r}")
        self.args = (graph, tuple(problems), source)
        self.graph = graph
        self.problems = tuple(problems)
        self.source = source

    def __str__(self) -> str:
        count = len(self.problems)
        at = f" ({self.source})" if self.source else ""
        head = f"graph {self.graph!r}{at} has {count} problem{'s' if count != 1 else ''}:"
        return "\n".join([head, *(f"  {i}. {text}" for i, text in enumerate(self.problems, 1))])


class ProfileError(GraphsError):
    """A scaling profile is wrong."""


class NodeError(GraphsError):
    """A node broke its own declaration: names, types or row count of what it returned."""


class InputError(GraphsError):
    """The input of a run is wrong."""


class InputNotFound(InputError):
    """A bucket, prefix or file is missing."""


class InputChanged(InputError):
    """An input object changed, appeared or vanished between planning and reading."""


class SchemaMismatch(InputError):
    """A column is missing or has the wrong type."""


class StorageError(GraphsError):
    """The object store refused or misbehaved."""

    is_retryable = True


class BucketNotFound(StorageError):
    """The bucket does not exist."""

    is_retryable = False


class ObjectNotFound(StorageError):
    """There is no object at that path."""

    is_retryable = False


class AlreadyExists(StorageError):
    """A create with ``If-None-Match`` lost: an object is there already."""

    is_retryable = False


class Superseded(StorageError):
    """A replace with ``If-Match`` lost: the object has changed or is gone."""


class CredentialsRejected(StorageError):
    """The store does not accept the credentials."""

    is_retryable = False


class ConditionalPutIgnored(StorageError):
    """The store ignores ``If-None-Match`` or ``If-Match``, so a commit could be lost."""

    is_retryable = False


class CommitConflict(StorageError):
    """Somebody else committed the same partition meanwhile."""


class RunFailed(GraphsError):
    """An offline run could not be completed."""

    is_retryable = True


class WorkerLost(RunFailed):
    """A shard kept taking its worker down: out of memory, a crash in native code, a lost node."""


class NodeStalled(RunFailed):
    """A node did not come back from a batch within the profile's ``stall_s``."""


class ErrorBudgetSpent(RunFailed):
    """More rows were rejected than the run allows."""

    is_retryable = False


class CountsDoNotAddUp(RunFailed):
    """Rows in ≠ rows out + rows rejected + rows filtered."""

    is_retryable = False


class PromotionError(GraphsError):
    """A release did not go live; what was live before still is."""


class GateFailed(PromotionError):
    """There is no passing report of a snapshot made by this version."""


class DeployFailed(PromotionError):
    """The candidate did not become healthy."""

    is_retryable = True


class ParityFailed(PromotionError):
    """Online answers differ from offline rows by more than the tolerance."""


class ReleaseInProgress(PromotionError):
    """Another release of the same graph is under way."""

    is_retryable = True
