"""Scaling configuration per target, in Python or YAML. Changing it never changes a version.

A file holds one section per target, and may start from a preset::

    preset: cluster
    offline: {workers_max: 32}
    online: {replicas: 2, nodes: {MiniLM: {replicas: 4}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from graphs.errors import ProfileError


class Profile(BaseModel):
    """Base of the profiles: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InlineProfile(Profile):
    """How a graph runs in this process."""

    batch_rows: int = Field(default=1024, ge=1, description="rows a node gets at once")


class StageScale(Profile):
    """How the stage that holds some node is run, where that differs from the others."""

    workers_min: int | None = Field(default=None, ge=1, description="workers, at least")
    workers_max: int | None = Field(default=None, ge=1, description="workers, at most")
    batch_rows: int | None = Field(default=None, ge=1, description="rows a node gets at once")


class Prices(Profile):
    """What things cost, in one currency, for the account of a run."""

    cpu_hour: float = Field(default=0.0, ge=0, description="a CPU held for an hour")
    gpu_hour: float = Field(default=0.0, ge=0, description="an accelerator held for an hour")
    thousand_requests: float = Field(default=0.0, ge=0, description="of the object store")


class OfflineProfile(Profile):
    """How a run spreads over a Ray cluster. The defaults suit a laptop."""

    workers_min: int = Field(default=1, ge=1, description="workers of a stage, at least")
    workers_max: int = Field(default=2, ge=1, description="workers of a stage, at most")
    shard_rows: int = Field(default=100_000, ge=1, description="rows of a shard, at most")
    shard_bytes: int = Field(
        default=128 * 1024 * 1024, ge=1, description="bytes of input of a shard, about"
    )
    batch_rows: int | None = Field(
        default=None,
        ge=1,
        description="rows a node gets at once; None: 1,024 beside a model, else 16,384",
    )
    nodes: dict[str, StageScale] = Field(
        default_factory=dict, description="scale of the stages that hold these nodes"
    )
    stall_s: float = Field(
        default=1800.0, gt=0, description="longest time a node may take for one batch, s"
    )
    prices: Prices | None = Field(default=None, description="None: no cost is told")

    @model_validator(mode="after")
    def workers_are_ordered(self) -> Self:
        scales: list[tuple[str, OfflineProfile | StageScale]] = [("", self), *self.nodes.items()]
        for where, scale in scales:
            low = scale.workers_min or self.workers_min
            high = scale.workers_max or self.workers_max
            if low > high:
                at = f"nodes.{where}: " if where else ""
                raise ValueError(f"{at}workers_min={low} > workers_max={high}")
        return self


class NodeScale(Profile):
    """How one node is served, where that differs from the others."""

    replicas: int = Field(ge=1, description="copies of the deployment that holds the node")


class OnlineProfile(Profile):
    """How a graph is served. The defaults suit a laptop."""

    replicas: int = Field(default=1, ge=1, description="copies of each deployment")
    max_batch_requests: int = Field(default=16, ge=1, description="requests computed at once")
    batch_wait_s: float = Field(default=0.002, ge=0, description="longest wait to fill a batch, s")
    max_ongoing_requests: int = Field(default=64, ge=1, description="requests in a replica")
    nodes: dict[str, NodeScale] = Field(
        default_factory=dict, description="scale of single nodes, by the node's name"
    )


class Profiles(Profile):
    """One profile for each target: what a file holds."""

    inline: InlineProfile = InlineProfile()
    offline: OfflineProfile = OfflineProfile()
    online: OnlineProfile = OnlineProfile()


def require_nodes(profile: OfflineProfile | OnlineProfile, graph: str, names: list[str]) -> None:
    """Checks that the nodes a profile scales are there.

    Args:
        profile: the profile.
        graph: the graph's name.
        names: of its nodes.

    Raises:
        ProfileError: it scales others, too.
    """
    unknown = [name for name in profile.nodes if name not in names]
    if unknown:
        raise ProfileError(
            "; ".join(f"nodes.{name}: there is no such node" for name in unknown),
            type(profile).__name__,
            f"The nodes of graph {graph!r} are {', '.join(names)}",
        )


PRESETS: dict[str, Profiles] = {
    "laptop": Profiles(),
    "cluster": Profiles(
        offline=OfflineProfile(workers_max=64),
        online=OnlineProfile(replicas=2, max_batch_requests=32, max_ongoing_requests=128),
    ),
    "nearline": Profiles(offline=OfflineProfile(shard_rows=2_000, batch_rows=256)),
}
"""Where a profile may start from. ``laptop`` is the defaults; ``cluster`` lets stages grow to 64
workers and answers from two replicas; ``nearline`` is ``laptop`` with small shards, for fresh files
that should be out again within seconds."""

P = TypeVar("P", bound=Profile)


def load(source: str | Path) -> Profiles:
    """The profiles that a file or the name of a preset gives.

    Args:
        source: ``laptop``, ``cluster`` or ``nearline``, or the path of a YAML or JSON file with
            any of the keys ``preset``, ``inline``, ``offline`` and ``online``. What a section
            leaves out is as in the preset.

    Raises:
        ProfileError: there is no such file, it is not YAML, a key is unknown or a value out of
            range; names the file and each key.
    """
    if source in PRESETS:
        return PRESETS[str(source)]
    try:
        written = yaml.safe_load(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(
            f"cannot be read: {error.strerror}",
            f"profile {str(source)!r}",
            f"Give a YAML file, or one of {', '.join(PRESETS)}",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"is not YAML: {error}", f"profile {str(source)!r}") from error
    return _parsed(written if written is not None else {}, str(source))


def _parsed(written: object, file: str) -> Profiles:
    if not isinstance(written, dict):
        raise ProfileError(
            f"holds a {type(written).__name__}, not sections",
            f"profile {file!r}",
            f"Its keys are preset, {', '.join(Profiles.model_fields)}",
        )
    rest = dict(written)
    preset = rest.pop("preset", "laptop")
    if preset not in PRESETS:
        raise ProfileError(
            f"preset {preset!r} is unknown",
            f"profile {file!r}",
            f"Name one of {', '.join(PRESETS)}",
        )
    base = PRESETS[preset].model_dump()
    merged = {
        name: base[name] | section if name in base and isinstance(section, dict) else section
        for name, section in rest.items()
    }
    try:
        return Profiles.model_validate(base | merged)
    except ValidationError as error:
        raise _refusal(error, Profiles, f"profile {file!r}") from error


def profile_of(kind: type[P], given: P | Mapping[str, Any] | None) -> P:
    """A profile from what a caller has: one already, a mapping, or nothing (the defaults).

    Raises:
        ProfileError: a key is unknown or a value out of range; names each.
    """
    if isinstance(given, kind):
        return given
    try:
        return kind.model_validate(dict(given or {}))
    except ValidationError as error:
        raise _refusal(error, kind, kind.__name__) from error


def _refusal(error: ValidationError, kind: type[Profile], where: str) -> ProfileError:
    """Every problem by its key, and the keys that are known where one is not."""
    problems, known = [], {}
    for problem in error.errors():
        place = tuple(str(part) for part in problem["loc"])
        problems.append(f"{'.'.join(place) or 'profile'}: {problem['msg']}")
        if problem["type"] == "extra_forbidden":
            known[".".join(place[:-1])] = ", ".join(_section(kind, place[:-1]).model_fields)
    remedies = [
        f"Known keys of {name!r} are {keys}" if name else f"Known keys are {keys}"
        for name, keys in known.items()
    ]
    return ProfileError("; ".join(problems), where, ". ".join(remedies))


def _section(kind: type[Profile], place: tuple[str, ...]) -> type[Profile]:
    """The part of a profile that a key stands in."""
    for name in place:
        field = kind.model_fields.get(name)
        # Below ``nodes`` come the names of nodes, and below each its scale.
        annotation = field.annotation if field else _scale_of_nodes(kind)
        kind = annotation if isinstance(annotation, type) else kind
    return kind


def _scale_of_nodes(kind: type[Profile]) -> Any:
    nodes = kind.model_fields.get("nodes")
    return get_args(nodes.annotation)[1] if nodes else None
