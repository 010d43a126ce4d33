"""What a model loads: found by URI, known by the digest of its bytes."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlparse

from graphs.errors import GraphError


def artifact_path(uri: str) -> Path:
    """Local path of an artifact.

    Args:
        uri: ``package:<package>/<path>`` (inside an installed package), ``file:///…`` or a path.

    Raises:
        GraphError: there is nothing at that place.
    """
    if uri.startswith("package:"):
        package, _, rest = uri.removeprefix("package:").partition("/")
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise GraphError(
                f"package {package!r} is not installed",
                where=f"artifact {uri!r}",
                remedy="Install it wherever the graph is compiled or run",
            )
        path = Path(found.submodule_search_locations[0]) / rest
    else:
        path = Path(unquote(urlparse(uri).path) if uri.startswith("file:") else uri)
    if not path.exists():
        raise GraphError("nothing is there", where=f"artifact {uri!r}")
    return path


def artifact_digest(uri: str) -> str:
    """SHA-256 over the relative name and the bytes of every file of an artifact."""
    root = artifact_path(uri)
    files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat()
        name = file.relative_to(root).as_posix() if root.is_dir() else ""
        content = _file_digest(str(file), stat.st_size, stat.st_mtime_ns)
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _file_digest(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
