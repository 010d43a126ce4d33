"""Graph + profile → plan, as data: it can be printed, compared and tested with no cluster."""
