from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import sys
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
from graphs.storage import objects
from graphs.storage.objects import Store, requests_made
from tests.storage import servers

PROJECT = Path(__file__).parents[2]


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


def test_a_store_that_is_away_is_an_error_that_names_it(
    use_s3: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(objects._RETRIES, "max_retries", 2)
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


def first(count: int, wanted: str) -> Callable[[str, str], bool]:
    """Says yes to the first requests of a method."""
    asked = itertools.count()
    return lambda method, path: method == wanted and next(asked) < count


@pytest.mark.server
@pytest.mark.parametrize("trouble", ["throttle", "block"])
def test_a_store_that_throttles_or_hangs_up_is_asked_again(
    moto: str, use_s3: Callable[[str], None], trouble: str
) -> None:
    place = f"s3://lake/{trouble}"
    for method, act, wanted in [
        ("PUT", lambda store: store.put("a", b"1") and None, None),
        ("PUT", lambda store: store.create("b", b"1") and None, None),
        ("GET", lambda store: store.read("a"), b"1"),
        ("HEAD", lambda store: store.exists("a"), True),
        ("GET", lambda store: [info.path for info in store.list()], ["a", "b"]),
        ("GET", lambda store: store.folders(), ()),
    ]:
        with servers.proxy(moto, **{trouble: first(3, method)}) as spoilt:
            use_s3(spoilt)
            assert act(Store.open(place)) == wanted


@pytest.mark.server
def test_an_answer_that_breaks_off_is_completed(moto: str, use_s3: Callable[[str], None]) -> None:
    use_s3(moto)
    data = bytes(range(256)) * 8000
    etag = Store.open("s3://lake/broken").put("a", data)
    for read in (
        lambda store: store.read("a"),
        lambda store: store.read_version("a", etag),
        lambda store: store.read_range("a", 0, len(data), etag)[0],
    ):
        with servers.proxy(moto, halve=first(2, "GET")) as spoilt:
            use_s3(spoilt)
            assert read(Store.open("s3://lake/broken")) == data


@pytest.mark.server
def test_a_listing_that_breaks_off_at_any_page_is_whole(
    moto: str, use_s3: Callable[[str], None]
) -> None:
    use_s3(moto)
    store = Store.open("s3://lake/long")
    names = [f"{number:05d}" for number in range(2100)]
    with ThreadPoolExecutor(16) as writers:
        list(writers.map(lambda name: store.put(name, b"x"), names))
    asked = itertools.count(1)
    with servers.proxy(moto, halve=lambda method, path: next(asked) in (1, 3, 4)) as spoilt:
        use_s3(spoilt)
        assert [info.path for info in Store.open("s3://lake/long").list()] == names
    assert next(asked) == 7  # three pages, and three that broke off


@pytest.mark.server
def test_a_create_whose_answer_was_lost_is_done_and_says_that_an_object_is_there(
    moto: str, use_s3: Callable[[str], None]
) -> None:
    with servers.proxy(moto, cut=first(1, "PUT")) as spoilt:
        use_s3(spoilt)
        store = Store.open("s3://lake/lost")
        with pytest.raises(AlreadyExists):
            store.create("a", b"mine")
        assert store.read("a") == b"mine"


@pytest.mark.server
def test_a_store_that_never_stops_throttling_is_named(
    moto: str, use_s3: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(objects._RETRIES, "max_retries", 2)
    with servers.proxy(moto, throttle=lambda method, path: True) as slow:
        use_s3(slow)
        with pytest.raises(
            StorageError, match=r"lake/x/a: the store throttles.*SlowDown"
        ) as caught:
            Store.open("s3://lake/x").read("a")
        assert caught.value.is_retryable


@pytest.mark.server
def test_requests_are_counted_as_the_store_sees_them(
    moto: str, use_s3: Callable[[str], None]
) -> None:
    use_s3(moto)
    store = Store.open("s3://lake/counted")
    with ThreadPoolExecutor(16) as writers:
        list(writers.map(lambda number: store.put(f"many/{number}", b"x"), range(1001)))
    seen: list[str] = []
    with servers.proxy(
        moto, block=lambda method, path: seen.append(method) is not None
    ) as counting:
        use_s3(counting)
        store, before = Store.open("s3://lake/counted"), requests_made()
        etag = store.put("a", b"123")
        store.replace("a", b"456", store.get("a").etag)
        etag = store.info("a").etag
        store.read_range("a", 0, 1, etag)
        store.read_version("a", etag)
        assert not store.exists("b")
        assert len(list(store.list("many"))) == 1001
        store.folders()
        store.delete("a")
        store.delete_many([f"many/{number}" for number in range(1001)])
        made = requests_made() - before
    assert made == len(seen)
    use_s3(moto)
    assert list(Store.open("s3://lake/counted").list()) == []


def test_a_folder_of_this_machine_costs_no_requests(tmp_path: Path) -> None:
    before = requests_made()
    Store.open(str(tmp_path)).put("a", b"1")
    assert Store.open(str(tmp_path)).read("a") == b"1"
    assert requests_made() == before


def test_of_many_deleted_objects_those_that_are_not_there_do_not_matter(root: str) -> None:
    store = Store.open(root)
    for path in ("a", "b c", "d"):
        store.put(path, b"x")
    store.delete_many(["a", "nothing", "b c"])
    assert [info.path for info in store.list()] == ["d"]


FILLS_THE_DISK = """
import os, resource, sys
from graphs.errors import StorageError
from graphs.storage.objects import Store

if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
store = Store.open(sys.argv[1])
etag = store.put("a/before.bin", b"x" * 1000)
for write in (
    lambda: store.put("a/new.bin", b"y" * 5_000_000),
    lambda: store.create("a/new.bin", b"y" * 5_000_000),
    lambda: store.replace("a/before.bin", b"y" * 5_000_000, etag),
):
    try:
        write()
    except StorageError as error:
        print(error)
assert store.read("a/before.bin") == b"x" * 1000
print([name for _, _, names in os.walk(sys.argv[1]) for name in names])
"""


def fill_a_disk(*command: str) -> list[str]:
    answer = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


def test_a_write_that_the_file_system_cuts_off_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    *problems, left = fill_a_disk(sys.executable, "-c", FILLS_THE_DISK, str(tmp_path), "limit")
    assert len(problems) == 3
    assert all("the disk is full" in one and "Free some space" in one for one in problems)
    assert left == "['before.bin']"


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="mounting needs a user namespace",
)
def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=1m none {tmp_path} && exec "$@"'
    *problems, left = fill_a_disk(
        *("unshare", "-rm", "sh", "-c", mount, "sh"),
        *(sys.executable, "-c", FILLS_THE_DISK, str(tmp_path), "disk"),
    )
    assert len(problems) == 3
    assert all("the disk is full" in one and "No space left" in one for one in problems)
    assert left == "['before.bin']"
