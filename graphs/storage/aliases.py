"""Aliases and releases of a registry, moved by compare-and-swap.

<registry>/aliases/<graph>/<alias>.json          which version a name means now
<registry>/releases/<graph>/current.json         the rollout under way, or the latest one
<registry>/releases/<graph>/history/<id>.json    how each one ended
"""

from __future__ import annotations

from typing import TypeVar

from graphs.spec import Alias, Record, Release
from graphs.storage.objects import Store
from graphs.storage.records import decode, encode

R = TypeVar("R", bound=Record)


class Registry:
    """Where versions get their names. Every write says which version of the record it replaces."""

    def __init__(self, uri: str) -> None:
        self.store = Store.open(uri)

    def read_alias(self, graph: str, name: str) -> tuple[Alias, str] | None:
        """An alias of a graph and its etag; ``None`` if it was never moved."""
        return self._find(Alias, _alias(graph, name))

    def move_alias(self, alias: Alias, etag: str | None) -> str:
        """Points an alias at a version.

        Args:
            alias: where it points from now on.
            etag: of the alias as it was read; ``None`` if there was none.

        Returns:
            The new etag.

        Raises:
            AlreadyExists: somebody created it meanwhile.
            Superseded: somebody moved it meanwhile.
        """
        return self._swap(_alias(alias.graph, alias.name), alias, etag)

    def read_release(self, graph: str) -> tuple[Release, str] | None:
        """A graph's current release and its etag; ``None`` if it never had one."""
        return self._find(Release, f"releases/{graph}/current.json")

    def write_release(self, release: Release, etag: str | None) -> str:
        """Starts or advances a graph's release; a terminal one is also kept in the history.

        Args:
            release: the record as it shall be.
            etag: of the release as it was read, this one's or its predecessor's; ``None`` if the
                graph never had one.

        Returns:
            The new etag.

        Raises:
            AlreadyExists: somebody started one meanwhile.
            Superseded: somebody advanced or replaced it meanwhile.
        """
        changed = self._swap(f"releases/{release.graph}/current.json", release, etag)
        if release.is_terminal:
            self.store.put(f"releases/{release.graph}/history/{release.id}.json", encode(release))
        return changed

    def releases(self, graph: str) -> tuple[Release, ...]:
        """Every finished release of a graph, by id."""
        paths = [info.path for info in self.store.list(f"releases/{graph}/history")]
        return tuple(
            decode(Release, self.store.read(path), self.store.uri_of(path)) for path in paths
        )

    def versions_in_use(self) -> frozenset[str]:
        """Every version that an alias names, or a release under way brings in or may return to."""
        versions: set[str] = set()
        for info in self.store.list("aliases"):
            if (alias := self._find(Alias, info.path)) is not None:
                versions.add(alias[0].version)
        for graph in self.store.folders("releases"):
            release = self.read_release(graph)
            if release is not None and not release[0].is_terminal:
                versions.update(v for v in (release[0].version, release[0].previous) if v)
        return frozenset(versions)

    def _find(self, kind: type[R], path: str) -> tuple[R, str] | None:
        found = self.store.find(path)
        if found is None:
            return None
        return decode(kind, found.data, self.store.uri_of(path)), found.etag

    def _swap(self, path: str, record: Record, etag: str | None) -> str:
        if etag is None:
            return self.store.create(path, encode(record))
        return self.store.replace(path, encode(record), etag)


def _alias(graph: str, name: str) -> str:
    return f"aliases/{graph}/{name}.json"
