"""Buttons on a task instance: the job in Ray's dashboard, and the report page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol


class PushedLink(BaseOperatorLink):
    """A link that the task pushes itself, so that it shows while the task still runs.

    Airflow asks for :meth:`get_link` once more when the task ends or defers, and stores the answer
    under the same XCom key; so the answer is what was pushed.
    """

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The URL that was pushed; empty when none was, which hides the button."""
        from airflow.sdk.execution_time.xcom import XCom

        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""

    def push(self, ti: RuntimeTaskInstanceProtocol, url: str) -> None:
        """Shows the link from now on."""
        ti.xcom_push(key=self.xcom_key, value=url)


class RayJobLink(PushedLink):
    """The Ray job that carries this attempt."""

    name = "Ray job"


class ReportLink(PushedLink):
    """What the gate said of the snapshot."""

    name = "Report"


def job_url(dashboard: str, submission_id: str) -> str:
    """Address of a job's page in Ray's dashboard."""
    return f"{dashboard}/#/jobs/{quote(submission_id, safe='')}"


def browser_url(uri: str) -> str:
    """Where a browser finds an object: at the store's own endpoint, else in the AWS console."""
    if not uri.startswith("s3://"):
        return uri if "://" in uri else f"file://{uri}"
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        return f"{endpoint.rstrip('/')}/{bucket}/{quote(key)}"
    return f"https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key)}"
