"""Score a day's documents with the example graph, and flip its version live if they pass.

Each run covers one day, ``s3://lake/docs/day=<day>/``, so a backfill fills several.
``GRAPHS_LAKE`` points it at another lake.
"""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider.operators import RunGraphOperator
from airflow_provider.sensors import PromotionSensor
from graphs.spec import Between, Input, LargestShare, NoNulls, RowsConserved

LAKE = os.environ.get("GRAPHS_LAKE", "s3://lake")
GRAPH = "graphs.examples.topics:topics"

with DAG(
    dag_id="topics",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
):
    score = RunGraphOperator(
        task_id="score",
        graph=GRAPH,
        input=Input(uri=f"{LAKE}/docs", partition_by="day"),
        dataset=f"{LAKE}/topics",
        profile={"shard_rows": 125},  # small days: so that they have shards to work on side by side
        expectations=[
            RowsConserved(),
            NoNulls(column="topic"),
            Between(column="score", minimum=0, maximum=1),
            LargestShare(column="topic", maximum=0.8),
        ],
        deadline=timedelta(hours=1),
    )
    PromotionSensor(
        task_id="promote",
        graph=GRAPH,
        dataset=f"{LAKE}/topics",
        registry=f"{LAKE}/registry",
        run=score.output,
        route="/topics",
        deadline=timedelta(minutes=30),
    )
