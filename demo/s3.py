"""The demo's S3 server as a component of the stack."""

from __future__ import annotations

import secrets
import string
import sys
from dataclasses import dataclass
from pathlib import Path

from demo import processes
from demo.ports import HOST, free_ports, listens
from demo.processes import Process

BUCKET = "lake"
REGION = "us-east-1"
READY_WITHIN_S = 60.0


@dataclass(frozen=True)
class S3:
    """A running S3 server and how to reach it."""

    process: Process
    url: str
    access_key_id: str
    secret_access_key: str

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to use the bucket."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def start(folder: Path, env: dict[str, str]) -> S3:
    """Start the server with a fresh key pair and the objects that the folder holds.

    Raises:
        NotReady: it did not start.
    """
    (port,) = free_ports(1)
    # AKIA and 16 more: the form by which the server tells a user's key from a temporary one.
    letters = string.ascii_uppercase + "234567"
    access_key_id = "AKIA" + "".join(secrets.choice(letters) for _ in range(16))
    secret_access_key = secrets.token_urlsafe(30)
    command = [sys.executable, "-m", "demo.s3_server"]
    command += [f"--port={port}", f"--data={folder / 's3.sqlite'}", f"--bucket={BUCKET}"]
    key_pair = {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key}
    process = processes.start("s3", command, {**env, **key_pair}, folder)
    processes.await_ready(process, lambda: listens(port), within_s=READY_WITHIN_S)
    return S3(process, f"http://{HOST}:{port}", access_key_id, secret_access_key)
