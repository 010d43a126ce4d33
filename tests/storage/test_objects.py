from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graphs.errors import (
    AlreadyExists,
    BucketNotFound,
    ConditionalPutIgnored,
    CredentialsRejected,
    ObjectNotFound,
    StorageError,
    Superseded,
)
from graphs.storage.objects import Store
from tests.storage import servers


def test_an_object_comes_back_with_its_etag(root: str) -> None:
    store = Store.open(root)
    etag = store.put("a/b.json", b"{}")
    found = store.get("a/b.json")
    assert (found.data, found.etag) == (b"{}", etag)
    assert store.exists("a/b.json")


@pytest.mark.parametrize("path", ["a b/c d.txt", "ds=2026-01-01/x+y.txt", "p/%41#1.txt", "ü/é.txt"])
def test_awkward_paths_are_written_listed_and_read_as_given(root: str, path: str) -> None:
    store = Store.open(root)
    store.put(path, b"x")
    assert [info.path for info in store.list()] == [path]
    assert store.read(path) == b"x"


def test_what_is_missing_is_not_found(root: str) -> None:
    store = Store.open(root)
    assert store.find("nothing") is None
    assert not store.exists("nothing")
    assert asyncio.run(store.get_async("nothing")) is None
    assert list(store.list("nothing")) == []
    assert store.folders() == ()
    with pytest.raises(ObjectNotFound, match="nothing"):
        store.read("nothing")
    store.delete("nothing")


def test_an_object_is_read_without_blocking_the_event_loop(root: str) -> None:
    store = Store.open(root)
    store.put("a", b"1")
    assert asyncio.run(store.get_async("a")) == b"1"


def test_of_many_racing_creates_exactly_one_wins(root: str) -> None:
    def write(number: int) -> int | None:
        try:
            Store.open(root).create("race.json", str(number).encode())
        except AlreadyExists:
            return None
        return number

    with ThreadPoolExecutor(16) as racers:
        winners = [number for number in racers.map(write, range(32)) if number is not None]
    assert len(winners) == 1
    assert Store.open(root).read("race.json") == str(winners[0]).encode()


def test_of_many_racing_replaces_of_one_version_exactly_one_wins(root: str) -> None:
    etag = Store.open(root).create("race.json", b"first")

    def write(number: int) -> int | None:
        try:
            Store.open(root).replace("race.json", f"number {number}".encode(), etag)
        except Superseded:
            return None
        return number

    with ThreadPoolExecutor(16) as racers:
        winners = [number for number in racers.map(write, range(32)) if number is not None]
    assert len(winners) == 1
    assert Store.open(root).read("race.json") == f"number {winners[0]}".encode()


def test_an_object_that_is_gone_cannot_be_replaced(root: str) -> None:
    store = Store.open(root)
    etag = store.put("a", b"1")
    store.delete("a")
    with pytest.raises(Superseded):
        store.replace("a", b"2", etag)


def test_a_listing_has_every_object_in_order_beyond_one_page(root: str) -> None:
    store = Store.open(root)
    names = [f"many/{number:05d}.json" for number in range(1203)]
    with ThreadPoolExecutor(16) as writers:
        list(writers.map(lambda name: store.put(name, b"x"), names))
    assert [info.path for info in store.list("many")] == names


def test_a_listing_stops_at_the_folder(root: str) -> None:
    store = Store.open(root)
    for path in ("day=1/a", "day=11/b", "day=1/sub/c"):
        store.put(path, b"x")
    assert [info.path for info in store.list("day=1")] == ["day=1/a", "day=1/sub/c"]
    assert store.folders() == ("day=1", "day=11")


def test_a_range_is_read_from_the_version_that_was_asked_for(root: str) -> None:
    store = Store.open(root)
    etag = store.put("a", b"0123456789")
    assert store.read_range("a", 2, 3, etag) == (b"234", 10)
    assert store.read_range("a", None, 4, etag) == (b"6789", 10)
    assert store.read_range("a", None, 400, etag) == (b"0123456789", 10)
    store.put("a", b"01234567890")
    with pytest.raises(Superseded):
        store.read_range("a", 2, 3, etag)


def test_the_probe_accepts_an_honest_store_and_leaves_nothing(root: str) -> None:
    store = Store.open(root)
    store.probe_conditional_puts()
    assert list(store.list()) == []


@pytest.mark.server
@pytest.mark.parametrize("header", servers.CONDITIONAL)
def test_the_probe_refuses_a_store_that_ignores_a_condition(
    moto: str, use_s3: Callable[[str], None], header: str
) -> None:
    with servers.proxy(moto, drop=(header,)) as careless:
        use_s3(careless)
        with pytest.raises(ConditionalPutIgnored, match="(?i)ignores " + header):
            Store.open("s3://lake/careless").probe_conditional_puts()
    use_s3(moto)
    assert list(Store.open("s3://lake/careless").list()) == []


@pytest.mark.server
def test_wrong_credentials_are_rejected_with_the_remedy(use_s3: Callable[[str], None]) -> None:
    with servers.moto(is_open=False) as closed:
        use_s3(closed)
        store = Store.open("s3://lake/x")
        for attempt in (
            lambda: store.get("a"),
            lambda: store.exists("a"),
            lambda: store.create("a", b""),
            lambda: list(store.list()),
            lambda: store.folders(),
        ):
            with pytest.raises(CredentialsRejected, match="AWS_ACCESS_KEY_ID"):
                attempt()


@pytest.mark.server
def test_a_missing_bucket_is_named(moto: str, use_s3: Callable[[str], None]) -> None:
    use_s3(moto)
    store = Store.open("s3://no-such-lake/x")
    for attempt in (
        lambda: store.get("a"),
        lambda: store.put("a", b""),
        lambda: store.create("a", b""),
        lambda: list(store.list()),
        lambda: store.folders(),
    ):
        with pytest.raises(BucketNotFound, match="s3://no-such-lake"):
            attempt()


def test_a_store_that_is_away_is_an_error_that_names_it(use_s3: Callable[[str], None]) -> None:
    use_s3("http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"s3://lake/x/a.*AWS_ENDPOINT_URL") as caught:
        Store.open("s3://lake/x").get("a")
    assert caught.value.is_retryable


def test_a_uri_that_is_no_store_is_refused() -> None:
    with pytest.raises(StorageError, match="scheme 'gopher'"):
        Store.open("gopher://hole")
    with pytest.raises(StorageError, match="names no bucket"):
        Store.open("s3:///x")


def test_a_relative_path_means_the_same_place_after_changing_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store.open("data/").uri == str(tmp_path / "data")
    assert Store.open(f"file://{tmp_path}/with%20space").uri == f"{tmp_path}/with space"
