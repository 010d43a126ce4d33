"""The job behind a task: its identity, its submission, and how it ends. Shared by operators and
sensors, so both survive retries, clears and kills in the same way."""

from airflow_provider.jobs.arguments import PARTITION_KEY, checked, plain
from airflow_provider.jobs.failures import (
    ClusterLost,
    DeadlinePassed,
    JobDied,
    PermanentFailure,
    TransientFailure,
)
from airflow_provider.jobs.identity import Work
from airflow_provider.jobs.task import RunsRayJob

__all__ = [
    "PARTITION_KEY",
    "ClusterLost",
    "DeadlinePassed",
    "JobDied",
    "PermanentFailure",
    "RunsRayJob",
    "TransientFailure",
    "Work",
    "checked",
    "plain",
]
