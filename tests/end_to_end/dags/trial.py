"""The DAGs of the end-to-end tests: what to do comes with the run's configuration."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider.operators import RunGraphOperator
from airflow_provider.sensors import PromotionSensor
from graphs.spec import Between, Input, LargestShare, NoNulls, RowsConserved

for deferrable in (True, False):
    with DAG(
        dag_id="trial" if deferrable else "trial_in_worker",
        schedule=None,
        max_active_runs=1,
        render_template_as_native_obj=True,
        default_args={
            "retries": 3,
            "retry_delay": timedelta(seconds=1),
            "deferrable": deferrable,
            "partition_key": "{{ dag_run.conf['partition'] }}",
            "graph": "tests.end_to_end.trial:{{ dag_run.conf.get('graph', 'trial') }}",
            "dataset": "{{ dag_run.conf['lake'] }}/out",
        },
    ) as dag:
        score = RunGraphOperator(
            task_id="score",
            input=Input(uri="{{ dag_run.conf['lake'] }}/in", partition_by="part"),
            profile={"workers_max": 1, "shard_rows": 25},
            expectations=[
                RowsConserved(),
                NoNulls(column="topic"),
                Between(column="score", minimum=0, maximum=1),
                LargestShare(column="topic", maximum=0.8),
            ],
        )
        promote = PromotionSensor(
            task_id="promote",
            registry="{{ dag_run.conf['lake'] }}/registry",
            run_key=score.output["run_key"],
            route="/trial",
        )
    globals()[dag.dag_id] = dag
