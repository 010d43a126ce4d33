"""Every error of the client and the hook.

GraphsError                    graphs.errors; says whether trying again unchanged can help
└── RayError                   Ray did not do what was asked
    ├── BadConnection          the Airflow connection does not describe a Ray cluster
    ├── Unreachable            nothing answers at the dashboard's address
    ├── NotAuthorised          the cluster wants a token, or another one
    ├── JobNotFound            the cluster knows no job of this submission id
    └── RayApiError            the dashboard answered with an error

What a task raises to Airflow is in :mod:`airflow_provider.jobs.failures`.
No message holds a token, a header or a request's body.
"""

from __future__ import annotations

from graphs.errors import GraphsError


class RayError(GraphsError):
    """Ray did not do what was asked."""


class BadConnection(RayError):
    """The Airflow connection does not describe a Ray cluster."""


class Unreachable(RayError):
    """Nothing answers at the dashboard's address."""

    is_retryable = True


class NotAuthorised(RayError):
    """The cluster wants a token, or another one."""


class JobNotFound(RayError):
    """The cluster knows no job of this submission id."""

    is_retryable = True


class RayApiError(RayError):
    """The dashboard answered with an error."""

    is_retryable = True
