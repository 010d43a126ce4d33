"""The DAGs of the end-to-end tests: what to do comes with the run's configuration."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider.operators import RunGraphOperator
from airflow_provider.sensors import PromotionSensor
from graphs.spec import Between, Input, LargestShare, NoNulls, RowsConserved

DATASET = "{{ dag_run.conf['lake'] }}/out"
GRAPH = "tests.end_to_end.trial:{{ dag_run.conf.get('graph', 'trial') }}"
PARTITION = "{{ dag_run.conf['partition'] }}"


def score(*, deferrable: bool) -> RunGraphOperator:
    return RunGraphOperator(
        task_id="score",
        graph=GRAPH,
        partition_key=PARTITION,
        input=Input(uri="{{ dag_run.conf['lake'] }}/in", partition_by="part"),
        dataset=DATASET,
        profile={"workers_max": 1, "shard_rows": 25},
        expectations=[
            RowsConserved(),
            NoNulls(column="topic"),
            Between(column="score", minimum=0, maximum=1),
            LargestShare(column="topic", maximum=0.8),
        ],
        deferrable=deferrable,
    )


SETTINGS = {
    "schedule": None,
    "max_active_runs": 1,
    "default_args": {"retries": 3, "retry_delay": timedelta(seconds=1)},
}

with DAG("trial", **SETTINGS):
    score(deferrable=True)

with DAG("trial_in_worker", **SETTINGS):
    score(deferrable=False)

with DAG("trial_online", **SETTINGS):
    PromotionSensor(
        task_id="promote",
        graph=GRAPH,
        partition_key=PARTITION,
        dataset=DATASET,
        registry="{{ dag_run.conf['lake'] }}/registry",
        run=score(deferrable=True).output,
        route="/trial",
    )
