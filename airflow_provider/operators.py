"""Operators: have a graph score a partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.jobs import PARTITION_KEY, RunsRayJob, Work, checked, plain
from airflow_provider.links import ReportLink, browser_url
from graphs.spec import RunResult, RunSpec

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from graphs.spec import ErrorBudget, Expectation, Input


class RunGraphOperator(RunsRayJob):
    """Scores one partition with a graph, as a Ray job.

    A retry, a crashed worker and a restarted triggerer re-attach to the job; a clear stops it and
    starts another; what was computed is kept in any case. The XCom is a
    :class:`~graphs.spec.RunResult` as JSON. Failed expectations do not fail this task: the
    snapshot is committed and its report says so, which keeps it from being promoted.

    Args:
        graph: reference ``"module:name"``.
        input: dataset to score: a URI, or a :class:`~graphs.spec.Input` as record or JSON.
        dataset: URI of the output dataset.
        partition_key: which slice of the data; the run's partition key or day by default.
        parameters: run parameters.
        profile: offline scaling profile.
        expectations: judged on the committed snapshot, as records or JSON.
        error_budget: how many rows may be rejected, as record or JSON.
        ray_conn_id, deadline, deferrable: see :class:`~airflow_provider.jobs.RunsRayJob`.
    """

    template_fields: Sequence[str] = (
        "graph",
        "input",
        "dataset",
        "partition_key",
        "parameters",
        "profile",
        "expectations",
        "error_budget",
    )
    template_fields_renderers = {  # noqa: RUF012 - Airflow's own shape
        "input": "json",
        "parameters": "json",
        "profile": "json",
        "expectations": "json",
        "error_budget": "json",
    }
    ui_color = "#dcecf7"

    def __init__(
        self,
        *,
        graph: str,
        input: str | Mapping[str, Any] | Input,
        dataset: str,
        partition_key: str = PARTITION_KEY,
        parameters: Mapping[str, Any] | None = None,
        profile: Mapping[str, Any] | None = None,
        expectations: Sequence[Mapping[str, Any] | Expectation] = (),
        error_budget: Mapping[str, Any] | ErrorBudget | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.graph = graph
        self.input = plain(input)
        self.dataset = dataset
        self.partition_key = partition_key
        self.parameters = parameters
        self.profile = profile
        self.expectations = plain(expectations)
        self.error_budget = plain(error_budget)

    def execute(self, context: Context) -> dict[str, Any]:
        """Submits or re-attaches, and waits."""
        result = self.run_job(context, Work(self.spec()), then="execute_complete")
        return self._done(context, result)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Takes the outcome once the trigger has seen the job end."""
        return self._done(context, self.result_of(event))

    def spec(self) -> RunSpec:
        """What is submitted, checked.

        Raises:
            PermanentFailure: an argument is wrong.
        """
        given = {
            "input": {"uri": self.input} if isinstance(self.input, str) else self.input,
            "parameters": self.parameters,
            "profile": self.profile,
            "expectations": self.expectations,
            "error_budget": self.error_budget,
        }
        return checked(
            RunSpec,
            graph=self.graph,
            output=self.dataset,
            partition_key=self.partition_key,
            **{name: value for name, value in given.items() if value is not None},
        )

    def _done(self, context: Context, result: Any) -> dict[str, Any]:
        assert isinstance(result, RunResult)
        if result.report is not None:
            ReportLink().push(context["ti"], browser_url(result.report))
        self.log.info(
            "Partition %s: %d rows in, %d out, %d rejected; shards: %d computed, %d resumed%s",
            result.partition_key,
            result.counts.rows_in,
            result.counts.rows_out,
            result.counts.rows_rejected,
            result.shards_computed,
            result.shards_resumed,
            "; it was committed before" if result.was_committed else "",
        )
        for failure in result.failures:
            self.log.warning("Expectation failed: %s", failure)
        return result.model_dump(mode="json")
