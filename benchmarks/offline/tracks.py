"""The inputs of the races."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

from pyarrow import fs

from benchmarks.offline.place import Place
from benchmarks.offline.race import Track
from benchmarks.offline.workloads import write_input


def track(place: Place, workload: str, rows: int, files: int, *, where: str = "disk") -> Track:
    """Rows in that many files of equal size, on ``disk`` or in ``s3``."""
    root = str(place.folder) if where == "disk" else place.root("s3://")
    uri = f"{root}/in/{workload}-{rows}-{files}"
    store, folder = place.filesystem(uri)
    store.create_dir(folder)
    size = -(-rows // files)

    def write(number: int) -> None:
        first = number * size
        buffer = io.BytesIO()
        write_input(buffer, min(size, rows - first), first=first)
        with store.open_output_stream(f"{folder}/part-{number:05d}.parquet") as stream:
            stream.write(buffer.getbuffer())

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(files)))
    return Track(workload, uri, rows)


def large_file(place: Place, rows: int) -> tuple[Track, int]:
    """Rows in a single file on disk, and its bytes."""
    folder = place.folder / "in" / f"large-{rows}"
    folder.mkdir(parents=True)
    path = folder / "all.parquet"
    write_input(path, rows)
    return Track("cpu", str(folder), rows), path.stat().st_size


def drop(place: Place, one: Track) -> None:
    """Removes an input."""
    store, folder = place.filesystem(one.uri)
    if store.get_file_info(folder).type == fs.FileType.Directory:
        store.delete_dir(folder)
