"""A one-node Ray cluster on 127.0.0.1, with token authentication on."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from demo import processes
from demo.ports import HOST, free_block, free_ports
from demo.processes import Process

LOGICAL_CPUS = 4  # more than a small machine has: mostly these wait for each other
OBJECT_STORE_BYTES = 300 * 1024**2
READY_WITHIN_S = 90.0
# Ray takes 127.0.0.1 to mean "the address that other nodes see" and would listen there, unless
# clusters of several nodes are off.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@dataclass(frozen=True)
class RayCluster:
    """A running cluster and how to reach it."""

    process: Process
    gcs_address: str
    dashboard_url: str
    serve_url: str
    token_path: str
    temp_folder: str

    @property
    def token(self) -> str:
        return Path(self.token_path).read_text().strip()

    @property
    def client_env(self) -> dict[str, str]:
        """What a process needs to join the cluster or to call its dashboard."""
        return {
            **LOOPBACK,
            "RAY_ADDRESS": self.gcs_address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": self.token_path,
        }

    def get(self, path: str) -> httpx.Response:
        """GET a path of the dashboard, with the token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.get(self.dashboard_url + path, headers=headers, timeout=10)

    def job_drivers(self) -> list[psutil.Process]:
        """The driver processes of submitted ``graphs job`` entry points."""
        return [one for one in self.process.members() if _is_job_driver(one)]


def _is_job_driver(process: psutil.Process) -> bool:
    try:
        command = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    # The entry point runs in a shell; the driver itself is the python below it.
    return command[1:4] == ["-m", "graphs", "job"]


def start(folder: Path, env: Mapping[str, str]) -> RayCluster:
    """Start the head node and wait until its dashboard answers with the token.

    Args:
        folder: the stack's data folder; token and log are kept there.
        env: environment of the node and so of every job on it, storage credentials included.

    Raises:
        NotReady: the node did not start.
    """
    token_path = folder / "ray-token"
    token_path.touch(mode=0o600)
    token_path.write_text(secrets.token_hex(32))
    gcs, dashboard, serve, *others = free_ports(13)
    first, last = free_block(400)
    temp_folder = _short_temp_folder(folder)
    process = processes.start(
        "ray",
        _command(gcs, dashboard, others, (first, last), temp_folder),
        {**env, **_settings(others, temp_folder), "RAY_AUTH_TOKEN_PATH": str(token_path)},
        folder,
    )
    cluster = RayCluster(
        process=process,
        gcs_address=f"{HOST}:{gcs}",
        dashboard_url=f"http://{HOST}:{dashboard}",
        serve_url=f"http://{HOST}:{serve}",
        token_path=str(token_path),
        temp_folder=str(temp_folder),
    )
    processes.await_ready(process, lambda: _takes_jobs(cluster), within_s=READY_WITHIN_S)
    return cluster


def remove_temp_folder(folder: Path) -> None:
    """Remove what an ended cluster left in its temporary folder."""
    shutil.rmtree(_short_temp_folder(folder), ignore_errors=True)


def _short_temp_folder(folder: Path) -> Path:
    # Ray puts sockets below it, and a socket's path may have 107 bytes only: too few for a deep
    # clone. So it lies in the system's temporary folder, under a name that the folder determines.
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"ray-{digest}"


def _command(
    gcs: int, dashboard: int, others: list[int], workers: tuple[int, int], temp_folder: Path
) -> list[str]:
    options = {
        "port": gcs,
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": others[0],
        "dashboard-agent-grpc-port": others[1],
        "runtime-env-agent-port": others[2],
        "metrics-export-port": others[3],
        "node-manager-port": others[4],
        "object-manager-port": others[5],
        "ray-client-server-port": others[6],
        "min-worker-port": workers[0],
        "max-worker-port": workers[1],
        "node-ip-address": HOST,
        "dashboard-host": HOST,
        "num-cpus": LOGICAL_CPUS,
        "object-store-memory": OBJECT_STORE_BYTES,
        "temp-dir": temp_folder,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    ray = str(Path(sys.executable).with_name("ray"))
    return [ray, "start", "--head", "--block", "--disable-usage-stats", *flags]


def _settings(others: list[int], temp_folder: Path) -> dict[str, str]:
    return {
        **LOOPBACK,
        "RAY_AUTH_MODE": "token",
        # There is no other node to drain to, so end at once.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_COLOR_PREFIX": "0",  # job logs end up in Airflow's pages
        # Requests reach the replica without a Python hop: ten times the throughput.
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # HAProxy on this node learns of a new replica within a second, so that an old one need not
        # stay for the half minute that a remote load balancer takes.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(others[7]),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(others[8]),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(others[9]),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(temp_folder / "haproxy" / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(temp_folder / "haproxy" / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(temp_folder / "haproxy"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(temp_folder / "haproxy" / "server-state"),
    }


def _takes_jobs(cluster: RayCluster) -> bool:
    try:
        return cluster.get("/api/jobs/").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
