"""Sensors: wait for a snapshot that passed, and bring its version online."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.hooks import RayHook
from airflow_provider.jobs import (
    PARTITION_KEY,
    PermanentFailure,
    RunsRayJob,
    TransientFailure,
    Work,
    checked,
)
from airflow_provider.jobs.failures import typed
from airflow_provider.links import ReportLink, browser_url
from airflow_provider.triggers import Gate, ReportTrigger, look_at_gate
from graphs.spec import PromotionSpec

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

_IN_PROGRESS = "ReleaseInProgress"


class PromotionSensor(RunsRayJob, BaseSensorOperator):
    """Waits until a partition's report has passed, then brings the version that made it online.

    A failed report fails the task at once, naming the expectations; failed parity names the keys;
    either way what was live before stays. While another release of the graph is under way it
    waits and tries again. The XCom is a :class:`~graphs.spec.ReleaseResult` as JSON.

    Args:
        graph: reference ``"module:name"``.
        dataset: URI of the dataset that holds the snapshot.
        registry: URI where aliases and releases are kept.
        partition_key: which partition; the run's partition key or day by default.
        run: the run whose snapshot counts: what its task returned (``score.output``), or its run
            key; ``None`` takes whichever run is committed.
        route: public route; ``None`` means ``/<graph name>``.
        parity: ``sample`` (keys to compare) and ``tolerance`` (per float column, absolute).
        profile: online scaling profile.
        ray_conn_id, deadline, deferrable: see :class:`~airflow_provider.jobs.RunsRayJob`; the
            connection says where Ray Serve is, too.
        poke_interval: seconds between looks.
    """

    template_fields: Sequence[str] = (
        "graph",
        "dataset",
        "registry",
        "partition_key",
        "run",
        "route",
        "parity",
        "profile",
    )
    template_fields_renderers = {"run": "json", "parity": "json", "profile": "json"}  # noqa: RUF012
    ui_color = "#e2f3e4"

    def __init__(
        self,
        *,
        graph: str,
        dataset: str,
        registry: str,
        partition_key: str = PARTITION_KEY,
        run: Mapping[str, Any] | str | None = None,
        route: str | None = None,
        parity: Mapping[str, Any] | None = None,
        profile: Mapping[str, Any] | None = None,
        poke_interval: timedelta | float = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.graph = graph
        self.dataset = dataset
        self.registry = registry
        self.partition_key = partition_key
        self.run = run
        self.route = route
        self.parity = parity
        self.profile = profile

    def execute(self, context: Context) -> Any:
        """Waits and promotes; in the triggerer or, poking, in the worker."""
        if not self.deferrable:
            return super().execute(context)
        if self._gate_is_open(context):
            return self._promote(context)
        return self._wait(context)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Promotes as soon as the report has passed and no other release is under way."""
        if not self._gate_is_open(context):
            return False
        try:
            return PokeReturnValue(is_done=True, xcom_value=self._promote(context))
        except TransientFailure as failure:
            if failure.error != _IN_PROGRESS:
                raise
            self.log.info("Waiting: %s", failure.message)
            return False

    def gate_decided(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Goes on once the trigger has seen a report."""
        gate = Gate.model_validate(event)
        self._judge(context, gate)
        return self._promote(context)

    def promotion_ended(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Takes the outcome once the trigger has seen the job end."""
        try:
            return self.result_of(event).model_dump(mode="json")
        except TransientFailure as failure:
            if failure.error != _IN_PROGRESS:
                raise
            self.log.info("Waiting: %s", failure.message)
            return self._wait(context)

    def spec(self) -> PromotionSpec:
        """What is submitted, checked.

        Raises:
            PermanentFailure: an argument is wrong.
        """
        with typed():
            serve_address = RayHook(self.ray_conn_id).settings().serve_address
        return checked(
            PromotionSpec,
            graph=self.graph,
            dataset=self.dataset,
            registry=self.registry,
            partition_key=self.partition_key,
            serve_address=serve_address,
            route=self.route,
            profile=self.profile or {},
            **(self.parity or {}),
        )

    @property
    def _run_key(self) -> str | None:
        return self.run["run_key"] if isinstance(self.run, Mapping) else self.run

    def _gate_is_open(self, context: Context) -> bool:
        with typed():
            gate = look_at_gate(self.dataset, self.partition_key, self._run_key)
        return self._judge(context, gate)

    def _judge(self, context: Context, gate: Gate) -> bool:
        if gate.report is not None:
            ReportLink().push(context["ti"], browser_url(gate.report))
        match gate.state:
            case "failed":
                raise PermanentFailure(
                    "GateFailed",
                    f"partition {self.partition_key} of {self.dataset} did not pass: {gate.reason}",
                )
            case "broken":
                raise PermanentFailure(gate.error, gate.reason)
            case "timed_out":
                raise AirflowSensorTimeout(f"no report within {self.timeout} s: {gate.reason}")
        self.log.info("Gate: %s", gate.reason)
        return gate.state == "passed"

    def _promote(self, context: Context) -> dict[str, Any]:
        result = self.run_job(context, Work(self.spec()), then="promotion_ended")
        return result.model_dump(mode="json")

    def _wait(self, context: Context) -> dict[str, Any]:
        # The start is that of the try, not of this stretch, so waits add up.
        started = context["ti"].start_date.timestamp()
        trigger = ReportTrigger(
            dataset=self.dataset,
            partition_key=self.partition_key,
            run_key=self._run_key,
            poll_s=self.poke_interval,
            give_up_at=max(started + self.timeout, time.time()),
        )
        self.defer(trigger=trigger, method_name="gate_decided")
        raise AssertionError("unreachable: defer raises")
