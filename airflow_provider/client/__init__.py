"""Ray's Jobs REST API: calls that do no I/O, and two small drivers that carry them out."""

from airflow_provider.client.calls import (
    find_job,
    get_job,
    ray_version,
    read_log,
    stop_and_verify,
    submit,
)
from airflow_provider.client.drivers import AsyncRayClient, Cluster, RayClient
from airflow_provider.client.following import follow
from airflow_provider.client.records import (
    JobDetails,
    JobEnd,
    JobRequest,
    JobStatus,
    Pause,
    Request,
    Response,
    Say,
    SubmittedJob,
)

__all__ = [
    "AsyncRayClient",
    "Cluster",
    "JobDetails",
    "JobEnd",
    "JobRequest",
    "JobStatus",
    "Pause",
    "RayClient",
    "Request",
    "Response",
    "Say",
    "SubmittedJob",
    "find_job",
    "follow",
    "get_job",
    "ray_version",
    "read_log",
    "stop_and_verify",
    "submit",
]
