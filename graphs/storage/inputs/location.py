"""Where an input is: the folder its paths are relative to, and which of them are its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from graphs.errors import InputError
from graphs.spec import Input, InputFormat

_SIGNS = re.compile(r"[*?\[]")
_ENDINGS: dict[str, InputFormat] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson.gz": "jsonl",
    ".csv": "csv",
    ".csv.gz": "csv",
}
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Location:
    """An input's URI, taken apart without asking the store."""

    root: str
    """What all paths are relative to."""
    folder: str = ""
    """Folder or file below the root that the URI names; empty: the root itself."""
    pattern: re.Pattern[str] | None = None
    """What paths below the root match, of a glob."""


def locate(input: Input) -> Location:
    """Where an input's paths start, by its URI alone: planner and reader come to the same.

    A URI that may name a single file is relative to the folder that holds it.

    Raises:
        InputError: a glob in the bucket's name, or together with ``partition_by``.
    """
    uri = absolute(input).uri
    scheme, rest = _split(uri)
    parts = rest.split("/")
    sign = next((i for i, part in enumerate(parts) if _SIGNS.search(part)), None)
    if sign is not None:
        if scheme and sign == 0:
            raise InputError("a bucket's name cannot be a glob", uri, "Name the bucket")
        if input.partition_by is not None:
            raise InputError(
                f"a glob cannot be partitioned by {input.partition_by!r}",
                uri,
                "Write the partition into the glob, or name the folder",
            )
        return Location(_joined(scheme, parts[:sign]), pattern=_matching("/".join(parts[sign:])))
    may_be_file = _by_ending(parts[-1]) is not None or input.format is not None
    if may_be_file and input.partition_by is None and len(parts) > 1 and parts[-1]:
        return Location(_joined(scheme, parts[:-1]), folder=parts[-1])
    return Location(uri)


def absolute(input: Input) -> Input:
    """The same input with its URI written in the one way that goes into plans and run keys."""
    scheme, rest = _split(input.uri)
    if scheme == "file":
        scheme, rest = "", unquote(rest)
    if not scheme:
        rest = str(Path(rest).expanduser().absolute())
    return input.model_copy(update={"uri": _joined(scheme, rest.rstrip("/").split("/"))})


def format_of(input: Input, path: str) -> InputFormat | None:
    """The format in which a file is read; ``None``: it is not one of the input's files.

    With a format given, files without a known ending have it, and those of others are left out.
    """
    ending = _by_ending(path)
    if input.format is None or ending is None:
        return ending or input.format
    return ending if ending == input.format else None


def is_compressed(path: str) -> bool:
    """Whether a text file is compressed as a whole, so that it cannot be read in parts."""
    return path.endswith(".gz")


def partition_values(uri: str) -> dict[str, str | None]:
    """Values of the Hive columns in a path: ``.../day=2026-01-01/x.parquet`` has one, ``day``."""
    values: dict[str, str | None] = {}
    for part in uri.split("/")[:-1]:
        name, equals, value = part.partition("=")
        if equals and name:
            values[unquote(name)] = None if value == _NULL_PARTITION else unquote(value)
    return values


def _by_ending(path: str) -> InputFormat | None:
    name = path.rpartition("/")[2].lower()
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)


def _split(uri: str) -> tuple[str, str]:
    scheme, colon, rest = uri.partition("://")
    return (scheme, rest) if colon else ("", uri)


def _joined(scheme: str, parts: list[str]) -> str:
    path = "/".join(parts)
    return f"{scheme}://{path}" if scheme else path or "/"


def _matching(glob: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay within a name, ``**`` as a whole segment is any folders or none."""
    written = []
    for segment in glob.split("/"):
        if segment == "**":
            written.append(r"(?:[^/]+/)*")
        else:
            written.append(_segment(segment) + "/")
    text = "".join(written)
    # A trailing "**" is every file below; any other pattern ends at a name.
    text = text + r"[^/]+" if glob.endswith("**") else text.removesuffix("/")
    return re.compile(text)


def _segment(glob: str) -> str:
    parts = re.split(r"(\*+|\?|\[!?\]?[^\]]*\])", glob)
    return "".join(_sign(part) if i % 2 else re.escape(part) for i, part in enumerate(parts))


def _sign(sign: str) -> str:
    if sign.startswith("*"):
        return "[^/]*"
    if sign == "?":
        return "[^/]"
    inside = re.sub(r"([\\\[&~|])", r"\\\1", sign[1:-1])
    if inside.startswith("!"):
        inside = "^/" + inside[1:]
    elif inside.startswith("^"):
        inside = "\\" + inside
    return f"[{inside}]"
