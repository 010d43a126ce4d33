from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.conftest import moto

__all__ = ["moto"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")  # not longer: a process can be in one cluster at a time
def cluster(moto: str) -> Iterator[str]:
    """Address of a Ray cluster of two CPUs whose workers reach the S3 server."""
    import ray

    before = dict(os.environ)
    os.environ |= {
        "PYTHONPATH": str(ROOT),
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    context = ray.init(
        address="local", num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20
    )
    yield context.address_info["address"]
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)
