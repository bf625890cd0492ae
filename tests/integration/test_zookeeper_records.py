"""The journal in ZooKeeper: large batches, damage, lost answers, and how short it stays."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss

from stoker.recovery import zookeeper as module
from stoker.recovery.base import StorageFailed
from stoker.recovery.zookeeper import NODE, ZooKeeperRecovery
from tests.support.zookeeper import Stand, ZooKeeperServers


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return f"/{tmp_path.name}/records/journal"


@pytest.fixture
def leader(zookeeper: ZooKeeperServers, tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(zookeeper.hosts, f"/{tmp_path.name}").wait_elected()
    yield stand
    stand.close()


@pytest.fixture
def client(zookeeper: ZooKeeperServers) -> Iterator[KazooClient]:
    client = zookeeper.client()
    yield client
    client.stop()


@pytest.fixture
def records(leader: Stand) -> ZooKeeperRecovery:
    records = leader.open_records()
    records.commit({"driver/1": b"one", "driver/2": b"two" * 100})
    records.commit({"driver/3": b"three", "driver/1": b"uno"})
    return records


WHOLE = {"driver/1": b"uno", "driver/2": b"two" * 100, "driver/3": b"three"}


def test_a_batch_of_many_nodes_is_there_when_its_first_node_is(
    leader: Stand, records: ZooKeeperRecovery, client: KazooClient, journal: str
) -> None:
    large = {f"driver/{number}": bytes([number]) * NODE for number in range(4, 9)}
    records.commit(large)
    nodes = sorted(client.get_children(journal))
    assert [name for name in nodes if name.startswith("0000000002")][:3] == [
        "0000000002",
        "0000000002.0001",
        "0000000002.0002",
    ]
    assert leader.open_records().read() == {**WHOLE, **large}
    client.delete(f"{journal}/0000000002")  # as if the leader had died before its last write
    again = leader.open_records()
    assert again.read() == WHOLE
    again.commit({"driver/9": b"nine" * NODE})  # over the remains of that write
    assert leader.open_records().read() == {**WHOLE, "driver/9": b"nine" * NODE}


def damage(client: KazooClient, path: str, old: bytes, new: bytes) -> None:
    data, _ = client.get(path)
    assert old in data
    client.set(path, data.replace(old, new))


def test_a_damaged_record_is_put_aside_and_not_replaced_by_an_older_one(
    leader: Stand, records: ZooKeeperRecovery, client: KazooClient, journal: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(client, f"{journal}/0000000001", b"uno", b"dos")
    with caplog.at_level(logging.ERROR, "stoker.recovery"):
        again = leader.open_records()
    assert again.read() == {key: value for key, value in WHOLE.items() if key != "driver/1"}
    assert ["driver/1" in text and "torn" in text for text in caplog.messages] == [True]
    kept = client.get_children(f"{journal.removesuffix('journal')}quarantine")
    assert len(kept) == 1
    assert b"+dos" in client.get(f"{journal.removesuffix('journal')}quarantine/{kept[0]}")[0]
    caplog.clear()
    assert leader.open_records().read() == again.read()
    assert caplog.messages == [], "it is named once"


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"torn", msgspec.msgpack.encode([0, b"\x92"])])
def test_a_batch_that_cannot_be_read_is_put_aside_and_the_rest_counts(
    leader: Stand,
    records: ZooKeeperRecovery,
    client: KazooClient,
    journal: str,
    caplog: pytest.LogCaptureFixture,
    data: bytes,
) -> None:
    client.set(f"{journal}/0000000001", data)
    client.create(f"{journal}/notes", b"of somebody")
    with caplog.at_level(logging.ERROR, "stoker.recovery"):
        again = leader.open_records()
    assert again.read() == {"driver/1": b"one", "driver/2": b"two" * 100}
    assert ["journal/0000000001" in caplog.text, "journal/notes" in caplog.text] == [True, True]
    again.commit({"driver/4": b"four"})
    assert leader.open_records().read() == {"driver/1": b"one", "driver/2": b"two" * 100, "driver/4": b"four"}
    kept = [
        client.get(f"{journal.removesuffix('journal')}quarantine/{name}")[0]
        for name in client.get_children(f"{journal.removesuffix('journal')}quarantine")
    ]
    assert any(b"of somebody" in node for node in kept), "what is put aside is never deleted"


def test_records_of_a_newer_stoker_are_left_to_it(
    leader: Stand, records: ZooKeeperRecovery, client: KazooClient, journal: str
) -> None:
    client.set(journal.removesuffix("/journal"), b"2")
    with pytest.raises(StorageFailed, match="are of layout 2, this Stoker knows 1: use the newer Stoker"):
        leader.open_records()
    client.set(journal.removesuffix("/journal"), b"1")
    assert leader.open_records().read() == WHOLE


def test_the_journal_is_replaced_before_it_is_long(
    leader: Stand, client: KazooClient, journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_REWRITE", 50_000)
    monkeypatch.setattr(module, "MOST_ENTRIES", 40)
    records = leader.open_records()
    expected: dict[str, bytes] = {}
    for number in range(300):
        batch = {f"driver/{number % 17}": b"%d " % number * (number % 50), f"driver/{number % 5}": None}
        records.commit(batch)
        for key, value in batch.items():
            expected.pop(key, None)
            if value is not None:
                expected[key] = value
        assert len(client.get_children(journal)) <= 42
    assert records.read() == expected
    assert leader.open_records().read() == expected


def test_a_write_whose_answer_was_lost_counts_once(
    leader: Stand, records: ZooKeeperRecovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends after ZooKeeper has taken the batch; the engine finds that out before the next batch."""
    true_commit = leader.leadership.zookeeper.commit

    def lose_answer(transaction: Any) -> Any:
        true_commit(transaction)
        raise ConnectionLoss

    for change in ({"driver/4": b"four"}, {"driver/4": b"other"}):  # tried again unchanged, and with other content
        with monkeypatch.context() as patch:
            patch.setattr(leader.leadership.zookeeper, "commit", lose_answer)
            with pytest.raises(StorageFailed, match="ConnectionLoss"):
                records.commit({"driver/4": b"four", "driver/5": b"five"})
        records.commit(change)
        assert records.read() == {**WHOLE, "driver/5": b"five", **change}
        assert leader.open_records().read() == records.read()


def test_a_write_that_did_not_arrive_leaves_no_trace(
    leader: Stand, records: ZooKeeperRecovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_question(_: Any) -> Any:
        raise ConnectionLoss

    with monkeypatch.context() as patch:
        patch.setattr(leader.leadership.zookeeper, "commit", lose_question)
        with pytest.raises(StorageFailed):
            records.commit({"driver/4": b"four"})
    records.commit({"driver/5": b"five"})
    assert records.read() == leader.open_records().read() == {**WHOLE, "driver/5": b"five"}
