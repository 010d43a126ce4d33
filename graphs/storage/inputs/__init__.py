"""The input of a run: listed, pinned by etag, cut into shards, and read one shard at a time."""

from graphs.storage.inputs.listing import check_unchanged, list_input, run_key
from graphs.storage.inputs.location import absolute, locate
from graphs.storage.inputs.planning import plan_shards
from graphs.storage.inputs.reading import ReadShard, Source
from graphs.storage.inputs.shards import Shards

__all__ = [
    "ReadShard",
    "Shards",
    "Source",
    "absolute",
    "check_unchanged",
    "list_input",
    "locate",
    "plan_shards",
    "run_key",
]
