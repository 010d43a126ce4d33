"""The newcomer's main job: from documents in a lake to a live answer, every step checked."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import httpx

from demo.airflow_api import AirflowApi, DagRun, StillNot
from demo.documents import DAYS, ROWS_A_DAY, last_days, write_days
from demo.screen import DayProgress, Screen
from demo.stack import LAKE, Stack
from graphs.examples.corpus import collect_once
from graphs.spec import ReleaseResult, RunResult

DAG_ID = "topics"
SCORE, PROMOTE = "score", "promote"
ROUTE = "/topics"
QUESTION = "parse an ISO 8601 timestamp"
EXPECTED_TOPIC = "dates and times"
FINISHED_WITHIN_S = 1_200.0
POLL_S = 1.0
# Of a task's log, the lines that the job wrote; Ray's own look a little different.
OUR_LINE = re.compile(r"^[\d-]+ [\d:,]+ (?:INFO|WARNING) (.+)$", re.MULTILINE)


class StepFailed(Exception):
    """A step did not hold; ``log`` is the end of the log that says more."""

    def __init__(self, problem: str, log: str = "") -> None:
        super().__init__(problem, log)
        self.problem, self.log = problem, log


@dataclass
class Figures:
    """What the journey came to."""

    runs: list[RunResult] = field(default_factory=list)
    releases: list[ReleaseResult] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    answering_version: str = ""

    @property
    def version(self) -> str:
        """The version that is live."""
        return self.releases[-1].version

    @property
    def sampled(self) -> int:
        return sum(release.parity.sampled for release in self.releases)

    @property
    def agreed(self) -> int:
        return sum(release.parity.agreed for release in self.releases)


def travel(stack: Stack, screen: Screen) -> Figures:
    """Documents → backfill → gate → flip → question.

    Raises:
        StepFailed: a step did not hold.
    """
    days = last_days()
    with screen.step("corpus", "Collect documentation strings of everything installed here"):
        documents = collect_once(stack.folder / "corpus")
    screen.say(f"{documents.num_rows:,} documents")
    with screen.step("input", f"Write {DAYS} days × {ROWS_A_DAY:,} documents to {LAKE}/docs"):
        written = write_days(LAKE, documents, days)
    screen.say(f"{written} written, {DAYS - written} there already")
    figures = Figures()
    with screen.step("backfill", "Backfill through Airflow's scheduler: score, gate, promote"):
        runs = backfill(stack.airflow.api, screen, days)
        collect_results(stack.airflow.api, runs, figures)
    with screen.step("question", f"Ask the live route: “{QUESTION}”"):
        ask(stack.ray.serve_url, figures)
    check(figures)
    return figures


def backfill(api: AirflowApi, screen: Screen, days: Sequence[date]) -> list[DagRun]:
    """Create the backfill, let the scheduler run it, and show it until all runs succeeded.

    The backfill is created before the DAG is unpaused: so today's run is one of its own, and not
    one more that the schedule adds.
    """
    try:
        api.await_dag(DAG_ID, within_s=90)
    except StillNot as error:
        raise StepFailed(f"Airflow does not know the DAG {DAG_ID!r}", str(error)) from error
    api.backfill(DAG_ID, days[0], days[-1], max_active_runs=1)
    api.unpause(DAG_ID)
    deadline = time.monotonic() + FINISHED_WITHIN_S
    with screen.live() as live:
        while True:
            runs = _runs_of(api, days)
            screen.show_days(live, [_progress(api, run) for run in runs])
            for run in runs:
                if run.state == "failed":
                    raise _failed(api, run)
            if len(runs) == len(days) and all(run.is_finished for run in runs):
                return runs
            if time.monotonic() > deadline:
                raise StepFailed(f"the backfill did not finish within {FINISHED_WITHIN_S:.0f} s")
            time.sleep(POLL_S)


def _runs_of(api: AirflowApi, days: Sequence[date]) -> list[DagRun]:
    wanted = set(days)
    runs = [run for run in api.runs(DAG_ID) if run.logical_date and _day(run) in wanted]
    return sorted(runs, key=_day)


def _day(run: DagRun) -> date:
    assert isinstance(run.logical_date, datetime)
    return run.logical_date.date()


def _progress(api: AirflowApi, run: DagRun) -> DayProgress:
    tasks = api.tasks(DAG_ID, run.run_id)
    states = {task.task_id: task.state or "waiting" for task in tasks}
    states = {task: states.get(task, "waiting") for task in (SCORE, PROMOTE)}
    rows = ""
    if states[SCORE] == "success":
        result = api.xcom(DAG_ID, run.run_id, SCORE)
        rows = f"{result['counts']['rows_out']:,} out" if result else ""
    busy = next((task for task in tasks if task.state in ("running", "deferred")), None)
    last_line = ""
    if busy is not None:
        said = OUR_LINE.findall(api.task_log(DAG_ID, run.run_id, busy.task_id, busy.try_number))
        last_line = said[-1] if said else ""
    return DayProgress(_day(run).isoformat(), states, rows, last_line)


def _failed(api: AirflowApi, run: DagRun) -> StepFailed:
    task = next(task for task in api.tasks(DAG_ID, run.run_id) if task.state == "failed")
    log = api.task_log(DAG_ID, run.run_id, task.task_id, task.try_number)
    problem = f"task {task.task_id!r} of {_day(run)} failed after {task.try_number} tries"
    return StepFailed(problem, "\n".join(log.splitlines()[-40:]))


def collect_results(api: AirflowApi, runs: Sequence[DagRun], figures: Figures) -> None:
    """Read what each task returned."""
    for run in runs:
        scored = api.xcom(DAG_ID, run.run_id, SCORE)
        promoted = api.xcom(DAG_ID, run.run_id, PROMOTE)
        figures.runs.append(RunResult.model_validate(scored))
        figures.releases.append(ReleaseResult.model_validate(promoted))


def ask(serve_url: str, figures: Figures) -> None:
    """Put the newcomer's question to the live route."""
    row = {"doc_id": "question", "package": "", "kind": "question", "text": QUESTION}
    try:
        response = httpx.post(serve_url + ROUTE, json=row, timeout=30)
    except httpx.HTTPError as error:
        raise StepFailed(f"{serve_url}{ROUTE} does not answer: {error}") from error
    if response.is_error:
        raise StepFailed(f"{serve_url}{ROUTE} answered {response.status_code}", response.text)
    figures.answer = response.json()
    figures.answering_version = response.headers.get("X-Graph-Version", "")


def check(figures: Figures) -> None:
    """Hold the journey to its promises.

    Raises:
        StepFailed: names every one that does not hold.
    """
    problems = [problem for run in figures.runs for problem in _problems_of(run)]
    versions = {run.version for run in figures.runs} | {figures.answering_version}
    if versions != {figures.version}:
        problems.append(f"scored and answering versions differ: {sorted(versions)}")
    if not figures.sampled or figures.agreed != figures.sampled:
        problems.append(f"parity: {figures.agreed} of {figures.sampled} sampled keys agree")
    if figures.answer.get("topic") != EXPECTED_TOPIC:
        problems.append(f"{QUESTION!r} was answered with {figures.answer}")
    if problems:
        raise StepFailed("; ".join(problems))


def _problems_of(run: RunResult) -> list[str]:
    day, counts = run.partition_key, run.counts
    problems = [f"{day}: {failure}" for failure in run.failures]
    if counts.rows_in != ROWS_A_DAY:
        problems.append(f"{day}: {counts.rows_in} rows in, {ROWS_A_DAY} expected")
    if not counts.add_up:
        problems.append(f"{day}: {counts.rows_in} rows in, but {counts.rows_out} out")
    return problems
