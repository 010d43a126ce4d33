"""Applications on Ray Serve: deployed, looked at and retired one at a time.

Only ``serve.run`` is used, never a PUT on Serve's REST API, which deletes every declaratively
deployed application that it does not list. So nobody else's application is ever touched.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import ray
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview

from graphs.errors import DeployFailed
from graphs.planners.online import Deployment, OnlinePlan
from graphs.runtimes.ray_serve.answering import Proof
from graphs.runtimes.ray_serve.app import GraphServer
from graphs.runtimes.ray_serve.ask import live_version
from graphs.runtimes.ray_serve.node_server import NodeServer

log = logging.getLogger(__name__)

DEADLINE_S = 900
"""How long an application may take to become healthy: models are downloaded and loaded in it."""

_POLL_S = 0.2
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def deploy(
    plan: OnlinePlan, *, app: str, route: str, serve_address: str, proof: Proof | None = None
) -> None:
    """Bring a plan online as one application and wait until it answers.

    An application of that name is replaced replica by replica: a new one answers before an old
    one stops, and old ones stay when new ones fail. Further deployments of the plan are
    applications of their own without a route; they are there before the first replica that asks
    them, and go with the last.

    Args:
        plan: what to serve.
        app: name of the application.
        route: path under which it answers.
        serve_address: HTTP address of Serve's proxy, such as ``http://127.0.0.1:8000``.
        proof: rows that every replica must reproduce before it answers.

    Raises:
        DeployFailed: it did not become healthy, or is not reached at ``serve_address``.
    """
    start_serve(serve_address)
    where = f"application {app!r}, version {plan.version}"
    first, *further = plan.deployments
    apps = {deployment.name: _further_app(app, plan, deployment) for deployment in further}
    _deploy_further(plan, apps, is_proved=proof is not None)
    handles = {name: serve.get_deployment_handle(name, app_name=apps[name]) for name in apps}
    target = _deployment(first, plan)(GraphServer)
    _run([serve.RunTarget(target.bind(plan, proof, handles), name=app, route_prefix=route)], where)
    _wait_until_running(app, where)
    _wait_until_reached(f"{serve_address.rstrip('/')}{route}", plan.version, where)
    # No replica is left that asks any other.
    for other in _further_apps(app).keys() - set(apps.values()):
        retire(other)


def _further_app(app: str, plan: OnlinePlan, deployment: Deployment) -> str:
    """Name of the application that a further deployment is.

    Serve replaces the deployments of one application each at its own pace, so that for a while
    replicas of one version would ask those of another. With the version in its name, a further
    deployment starts before, and stops after, the replicas that ask it.
    """
    return f"{app}.{plan.version}.{deployment.name}"


def _deploy_further(plan: OnlinePlan, apps: Mapping[str, str], *, is_proved: bool) -> None:
    if not apps:
        return
    before = applications()
    targets = [
        serve.RunTarget(
            _deployment(deployment, plan)(NodeServer).bind(plan, deployment.name, is_proved),
            name=apps[deployment.name],
            route_prefix=None,
        )
        for deployment in plan.deployments[1:]
    ]
    try:
        _run(targets, f"deployments {', '.join(apps)}, version {plan.version}")
        for name, app in apps.items():
            _wait_until_running(app, f"deployment {name!r}, version {plan.version}")
    except DeployFailed:
        for app in set(apps.values()) - before:
            retire(app)
        raise


def _further_apps(app: str) -> dict[str, str]:
    """Applications that are further deployments of an application, and the version of each."""
    of_app = re.compile(rf"{re.escape(app)}\.([0-9a-f]{{16}})\..+")
    found = ((other, of_app.fullmatch(other)) for other in applications())
    return {other: match[1] for other, match in found if match}


def _deployment(deployment: Deployment, plan: OnlinePlan) -> Callable[[Any], Any]:
    return serve.deployment(
        name=deployment.name,
        num_replicas=deployment.replicas,
        max_ongoing_requests=plan.profile.max_ongoing_requests,
        ray_actor_options=_actor_options(deployment),
        # Without a surge Serve stops an old replica before it starts the new one: with one
        # replica, nobody answers while the model loads.
        max_surge_percent=100,
    )


def _run(targets: list[serve.RunTarget], where: str) -> None:
    try:
        serve.run_many(targets, wait_for_applications_running=False)
    except Exception as error:  # Serve raises its own, RuntimeError, ValueError and actor errors
        raise DeployFailed(_last_line(str(error)), where) from error


def start_serve(serve_address: str) -> None:
    """Start Serve on this cluster so that it listens at an address, or check that it does.

    Raises:
        DeployFailed: Serve runs already, and on another port.
    """
    if not ray.is_initialized():
        ray.init(address="auto")
    parts = urlsplit(serve_address)
    port = parts.port or 80
    client: Any = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        host = "127.0.0.1" if parts.hostname in _LOOPBACK else "0.0.0.0"  # noqa: S104
        serve.start(http_options={"host": host, "port": port})
    elif client.http_config.port != port:
        raise DeployFailed(
            f"Ray Serve listens on port {client.http_config.port} already",
            where=f"serve address {serve_address!r}",
            remedy=f"Use port {client.http_config.port}, or shut Serve down first",
        )


def retire(app: str) -> None:
    """Delete an application and wait until its replicas are gone; nothing if there is none."""
    if status_of(app) is not None:
        try:
            serve.delete(app)
        except TimeoutError:
            log.warning("application %r is still stopping", app)
    for other in _further_apps(app):
        retire(other)


def retire_others(app: str, version: str) -> None:
    """Delete what an application that answers at a version has left of other versions: further
    deployments, where whoever replaced it died before the end."""
    for other, found in _further_apps(app).items():
        if found != version:
            retire(other)


def applications() -> frozenset[str]:
    """Names of the applications on this cluster, whoever deployed them."""
    return frozenset(serve.status().applications)


def status_of(app: str) -> ApplicationStatusOverview | None:
    """What Serve says of an application; ``None`` if there is none."""
    return serve.status().applications.get(app)


def is_running(app: str) -> bool:
    """Whether all replicas of an application are healthy and of the version deployed last."""
    status = status_of(app)
    return status is not None and status.status == ApplicationStatus.RUNNING


def has_replicas(app: str) -> bool:
    """Whether any replica of an application answers, of whatever version."""
    status = status_of(app)
    states: list[Any] = [d.replica_states for d in status.deployments.values()] if status else []
    return any(state.get("RUNNING") for state in states)


def wait_until_settled(app: str) -> None:
    """Wait while Serve is still starting or replacing an application's replicas."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        status = status_of(app)
        if status is None or status.status not in (
            ApplicationStatus.DEPLOYING,
            ApplicationStatus.DELETING,
        ):
            return
        time.sleep(_POLL_S)


def _wait_until_running(app: str, where: str) -> None:
    wait_until_settled(app)
    status = status_of(app)
    if status is None:
        raise DeployFailed("somebody deleted it", where)
    if status.status == ApplicationStatus.RUNNING:
        return
    told = [deployment.message for deployment in status.deployments.values()]
    message = _last_line("\n".join([status.message, *told]))
    if status.status == ApplicationStatus.DEPLOYING:
        raise DeployFailed(
            f"is not healthy after {DEADLINE_S} s: {message}",
            where,
            "Is there a free CPU, GPU and enough memory for one replica more?",
        )
    raise DeployFailed(f"{status.status.value}: {message}", where)


def _wait_until_reached(url: str, version: str, where: str) -> None:
    """The proxy learns about replicas a moment after Serve calls them healthy."""
    deadline = time.monotonic() + 30
    while (found := live_version(url)) != version:
        if time.monotonic() > deadline:
            raise DeployFailed(
                f"is healthy, but {url}/health gives version {found}",
                where,
                "Is this the address of this cluster's Serve proxy?",
            )
        time.sleep(_POLL_S)


def _actor_options(deployment: Deployment) -> dict[str, Any]:
    resources = deployment.resources
    options: dict[str, Any] = {"num_cpus": resources.cpus, "num_gpus": resources.gpus}
    if resources.memory_bytes is not None:
        options["memory"] = resources.memory_bytes
    if resources.accelerator is not None:
        options["accelerator_type"] = resources.accelerator
    return options


def _last_line(text: str) -> str:
    """The line of a traceback that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
