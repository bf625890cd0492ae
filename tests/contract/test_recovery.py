"""The contract of recovery engines (``recovery.base``), tested for each of them. A new engine is added in
``support.recovery``."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.model.records import COUNTERS_KEY, Counters
from stoker.recovery.base import RecoveryEngine, StorageFailed
from stoker.recovery.records import decode_record, encode_record
from tests.support.recovery import DURABLE, ENGINES, LOCKED, state_after, writer

Opener = Callable[[], RecoveryEngine]


@pytest.fixture(autouse=True)
def servers(request: pytest.FixtureRequest) -> None:
    """Start the servers that the engine needs."""
    if request.node.callspec.params.get("name") == "zookeeper":
        request.getfixturevalue("zookeeper")


@pytest.fixture(params=DURABLE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reopen(name: str, tmp_path: Path) -> Iterator[Opener]:
    """Open the store again and again; each call closes the previous one."""
    opened: list[RecoveryEngine] = []

    def open_again() -> RecoveryEngine:
        if opened:
            opened.pop().close()
        opened.append(ENGINES[name](tmp_path / "store"))
        return opened[-1]

    yield open_again
    for engine in opened:
        engine.close()


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_takes_every_call(name: str, tmp_path: Path) -> None:
    engine = ENGINES[name](tmp_path / "store")
    assert engine.read() == {}
    engine.commit({})
    engine.commit({"driver/1": b"a", "app/1": None})
    engine.quarantine("driver/1", "a test")
    engine.quarantine("driver/unknown", "a test")
    assert engine.read() == {}
    engine.close()
    engine.close()
    assert engine.is_durable is (name in DURABLE)


def test_what_was_committed_is_there_after_a_restart(reopen: Opener) -> None:
    engine = reopen()
    engine.commit({"driver/1": b"one", "driver/2": b"two", "app/1": b""})
    engine.commit({"driver/1": b"uno", "driver/2": None, "driver/3": None})
    assert engine.read() == {"driver/1": b"uno", "app/1": b""}
    assert reopen().read() == {"driver/1": b"uno", "app/1": b""}
    reopen().commit({"driver/1": None})
    assert reopen().read() == {"app/1": b""}


def test_any_bytes_under_any_key(reopen: Opener) -> None:
    records: dict[str, bytes | None] = {
        "driver/ünï/\u2603": b"\0\xff" * 10,
        "a'; DROP TABLE records; --": b"x",
        "large": bytes(range(256)) * 4096,
        "worker/worker-20270101000000-[::1]-7078": b"{}",
    }
    reopen().commit(records)
    assert reopen().read() == records


def test_a_large_batch(reopen: Opener) -> None:
    records: dict[str, bytes | None] = {f"driver/{number}": b"%d" % number * 100 for number in range(10_000)}
    reopen().commit(records)
    assert reopen().read() == records
    reopen().commit(dict.fromkeys(records))
    assert reopen().read() == {}


def test_records_as_the_master_keeps_them(reopen: Opener) -> None:
    reopen().commit({COUNTERS_KEY: encode_record(Counters(apps=3, drivers=70_000))})
    found = reopen().read()
    assert decode_record(COUNTERS_KEY, found[COUNTERS_KEY]) == Counters(apps=3, drivers=70_000)


def test_a_quarantined_record_is_named_and_the_others_stay(reopen: Opener, caplog: pytest.LogCaptureFixture) -> None:
    engine = reopen()
    engine.commit({"driver/1": b"good", "driver/2": b"of no use"})
    with caplog.at_level(logging.ERROR, "stoker.recovery"):
        engine.quarantine("driver/2", "it has no head")
    assert [("driver/2" in text, "it has no head" in text) for text in caplog.messages] == [(True, True)]
    assert engine.read() == {"driver/1": b"good"}
    engine.commit({"driver/2": b"anew"})
    assert reopen().read() == {"driver/1": b"good", "driver/2": b"anew"}


def test_a_batch_that_fails_leaves_no_trace(reopen: Opener) -> None:
    """One of its values is not bytes: a bug of Stoker, found half-way through the batch."""
    engine = reopen()
    engine.commit({"driver/1": b"one"})
    with pytest.raises((TypeError, StorageFailed)):
        engine.commit({"driver/1": b"two", "driver/2": b"x", "driver/3": object()})  # type: ignore[dict-item]
    assert engine.read() == {"driver/1": b"one"}
    engine.commit({"driver/4": b"four"})
    assert reopen().read() == {"driver/1": b"one", "driver/4": b"four"}


def test_nothing_is_written_after_the_end(reopen: Opener) -> None:
    engine = reopen()
    engine.commit({"driver/1": b"one"})
    engine.close()
    with pytest.raises(StorageFailed):
        engine.commit({"driver/1": b"two"})
    with pytest.raises(StorageFailed):
        engine.read()
    with pytest.raises(StorageFailed):
        engine.quarantine("driver/1", "a test")
    assert reopen().read() == {"driver/1": b"one"}


@pytest.mark.parametrize("name", LOCKED)
def test_two_masters_in_one_process_cannot_have_it_either(name: str, tmp_path: Path) -> None:
    first = ENGINES[name](tmp_path / "store")
    first.commit({"driver/1": b"one"})
    for _ in range(2):  # the failed attempt must not take the lock from the first
        with pytest.raises(StorageFailed, match="is held by"):
            ENGINES[name](tmp_path / "store")
    first.commit({"driver/1": b"two"})
    first.close()
    second = ENGINES[name](tmp_path / "store")
    first.close()
    with pytest.raises(StorageFailed, match=f"is held by .*process {os.getpid()} on "):
        ENGINES[name](tmp_path / "store")
    assert second.read() == {"driver/1": b"two"}
    second.close()


@pytest.mark.parametrize("name", LOCKED)
def test_another_process_is_told_who_has_the_store(name: str, tmp_path: Path) -> None:
    with writer(name, tmp_path / "store") as other:
        with pytest.raises(StorageFailed) as caught:
            ENGINES[name](tmp_path / "store")
        assert f"process {other.pid} on " in str(caught.value)
        assert "\n" not in str(caught.value)
        assert other.stdout is not None
        for number in range(200):  # it was not disturbed, and goes on writing
            assert other.stdout.readline() == f"{number}\n"
    engine = ENGINES[name](tmp_path / "store")  # a dead master holds no lock
    assert engine.read()
    engine.close()


def test_kill_9_loses_nothing_acknowledged_and_splits_no_batch(name: str, tmp_path: Path) -> None:
    """Killed six times somewhere in its work, the writer continues each time after the last commit in the store."""
    rng = random.Random(11)
    location, acknowledged = tmp_path / "store", -1
    for _ in range(6):
        with writer(name, location) as victim:
            assert victim.stdout is not None
            for _ in range(rng.randrange(1, 120)):
                acknowledged = int(victim.stdout.readline())
            victim.kill()
            for line in victim.stdout:  # the output before it was killed
                acknowledged = int(line)
        engine = ENGINES[name](location)
        found = engine.read()
        engine.close()
        number = int(found["meta/number"])
        assert number >= acknowledged, "nothing acknowledged is lost"
        assert found == state_after(number + 1), "no batch is there in part"


OPERATIONS = st.lists(
    st.dictionaries(st.sampled_from("abcdef"), st.none() | st.binary(max_size=30), max_size=6) | st.just("restart"),
    max_size=12,
)


@pytest.mark.parametrize("name", DURABLE)
@settings(max_examples=40, deadline=None)
@given(operations=OPERATIONS)
def test_it_is_a_dictionary_that_survives(
    name: str, tmp_path_factory: pytest.TempPathFactory, operations: list[dict[str, bytes | None] | str]
) -> None:
    location = tmp_path_factory.mktemp("store")
    engine, expected = ENGINES[name](location), {}
    for operation in operations:
        if isinstance(operation, str):
            engine.close()
            engine = ENGINES[name](location)
        else:
            engine.commit(operation)
            expected.update(operation)
            expected = {key: value for key, value in expected.items() if value is not None}
        assert engine.read() == expected
    engine.close()
