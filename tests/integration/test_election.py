"""Who leads, by a real ZooKeeper: hand-over, death, lost sessions, a lost ensemble, garbage in our nodes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError

from stoker.leader.base import Candidate, Follow, Frozen, Revoked, Roster, Thawed
from stoker.recovery.base import StorageFailed, Superseded
from tests.support.wait import wait_until
from tests.support.zookeeper import Stand, ZooKeeperServers, need_zookeeper

PATIENT = 30.0  # seconds: a session that outlives a slow restart of its server


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return f"/{tmp_path.name}"


@pytest.fixture
def stands(zookeeper: ZooKeeperServers, directory: str) -> Iterator[list[Stand]]:
    made: list[Stand] = []
    yield made
    for stand in made:
        stand.close()


def follows(address: str):  # type: ignore[no-untyped-def]
    return lambda event: isinstance(event, Follow) and event.leader is not None and event.leader.address == address


def test_one_leads_and_the_others_know_whom_to_name(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    first = Stand(zookeeper.hosts, directory, "h1:7077", webui_url="http://h1:8080").wait_elected()
    stands += [first, *(Stand(zookeeper.hosts, directory, f"h{n}:7077") for n in (2, 3))]
    leader = Candidate("h1:7077", "http://h1:8080")
    for stand in stands[1:]:
        stand.wait_for(lambda event: event == Follow(leader), "follows")
    first.wait_for(
        lambda event: event == Roster(("h1:7077", "h2:7077", "h3:7077"), ("http://h1:8080",)), "all masters are known"
    )
    assert [stand.epoch > 0 for stand in stands] == [True, False, False]
    stands.pop().close()
    first.wait_for(lambda event: event == Roster(("h1:7077", "h2:7077"), ("http://h1:8080",)), "one was removed")


def test_a_leader_that_stands_down_is_followed_at_once_by_a_higher_epoch(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    epochs = []
    stands.append(Stand(zookeeper.hosts, directory, "h1:7077").wait_elected())
    for number in range(2, 5):
        stands.append(Stand(zookeeper.hosts, directory, f"h{number}:7077"))
        stands[-1].wait_for(follows(f"h{number - 1}:7077"))
        leader = stands.pop(0)
        epochs.append(leader.epoch)
        leader.close()
        stands[0].wait_elected()
    assert epochs == sorted(set(epochs))
    assert stands[0].epoch > epochs[-1]


def test_an_epoch_is_higher_than_the_last_even_when_the_clock_was_set_back(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    ahead = 4 * 10**15  # milliseconds; left by a master with a wrong clock
    client = zookeeper.client()
    client.create(f"{directory}/epoch", b"%d" % ahead, makepath=True)
    client.stop()
    stands.append(Stand(zookeeper.hosts, directory).wait_elected())
    assert stands[0].epoch == ahead + 1


def test_a_process_that_is_gone_is_not_waited_for_and_its_writes_are_refused(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    """Its session lives on, like that of a paused or partitioned process: only its port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        old = Stand(zookeeper.hosts, directory, address).wait_elected()
        stands.append(old)
        records = old.open_records()
        records.commit({"driver/1": b"one"})
        new = Stand(zookeeper.hosts, directory, "127.0.0.1:9")
        stands.append(new)
        connection, _ = listener.accept()
    connection.close()
    new.wait_elected()
    assert new.epoch > old.epoch
    fresh = new.open_records()
    with pytest.raises(Superseded, match="another master leads"):
        records.commit({"driver/1": b"two"})
    old.wait_for(lambda event: isinstance(event, Revoked), "revoked")
    fresh.commit({"driver/2": b"of the new one"})
    assert new.open_records().read() == {"driver/1": b"one", "driver/2": b"of the new one"}


def test_the_end_of_the_last_leader_deposes_no_new_one(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    """A busy standby learns late that the leader's process has exited, after it has learned who leads now."""
    with (
        socket.create_server(("127.0.0.1", 0)) as first_port,
        socket.create_server(("127.0.0.1", 0)) as next_port,
    ):
        addresses = [f"127.0.0.1:{port.getsockname()[1]}" for port in (first_port, next_port)]
        first = Stand(zookeeper.hosts, directory, addresses[0]).wait_elected()
        busy = Stand(zookeeper.hosts, directory, "127.0.0.1:9")
        stands += [first, busy]
        busy.wait_for(follows(addresses[0]), "follows")
        connection, _ = first_port.accept()
        tasks = busy.leadership._tasks  # what its thread has to do
        free, done = threading.Event(), threading.Event()

        def work() -> None:
            free.wait(20)

        tasks.put(work)
        first.close()
        second = Stand(zookeeper.hosts, directory, addresses[1]).wait_elected()
        stands.append(second)
        wait_until(lambda: tasks.qsize() >= 1, what="the node of the first leader has gone")
        waiting = tasks.qsize()
        first_port.close()
        connection.close()
        wait_until(lambda: tasks.qsize() > waiting, what="so has its process")
        tasks.put(done.set)
        free.set()
        assert done.wait(20)
        assert not busy.epoch and not any(isinstance(event, Revoked) for event in second.events)


def test_a_restarted_master_does_not_wait_for_the_session_of_the_process_before_it(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    for _ in range(2):  # no other process can listen at its address
        stands.append(Stand(zookeeper.hosts, directory, "127.0.0.1:1", session_timeout=PATIENT).wait_elected())
    stands[0].wait_for(lambda event: isinstance(event, Revoked), "revoked")
    assert stands[1].epoch > stands[0].epoch


def test_a_leader_behind_a_firewall_that_was_never_reached_is_left_alone(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    stands.append(Stand(zookeeper.hosts, directory, "127.0.0.1:1").wait_elected())  # nobody listens there
    stands.append(Stand(zookeeper.hosts, directory, "127.0.0.1:2"))
    stands[1].wait_for(follows("127.0.0.1:1"))
    client = zookeeper.client()
    client.get(f"{directory}/leader")
    client.stop()
    assert not stands[1].epoch and stands[0].leadership.zookeeper.is_connected
    records = stands[0].open_records()
    records.commit({"driver/1": b"still ours"})


def test_a_leader_whose_session_was_ended_leads_no_more(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    old = Stand(zookeeper.hosts, directory, "h1:7077").wait_elected()
    stands.append(old)
    records = old.open_records()
    thief = KazooClient(hosts=zookeeper.hosts, client_id=old.leadership.zookeeper._client.client_id)
    thief.start()
    thief.stop()
    old.wait_for(lambda event: isinstance(event, Revoked), "revoked")
    stands.append(Stand(zookeeper.hosts, directory, "h2:7077").wait_elected())
    with pytest.raises(StorageFailed):
        records.commit({"driver/1": b"two"})


def test_a_removed_leader_node_is_noticed(zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]) -> None:
    stands.append(Stand(zookeeper.hosts, directory, "h1:7077").wait_elected())
    client = zookeeper.client()
    client.delete(f"{directory}/leader")
    client.stop()
    stands[0].wait_for(lambda event: isinstance(event, Revoked), "revoked")


def test_a_lost_ensemble_freezes_the_leader_and_its_return_thaws_it(tmp_path: Path) -> None:
    need_zookeeper()
    with ZooKeeperServers(tmp_path) as servers:
        leader = Stand(servers.hosts, "/spark", "h1:7077", session_timeout=PATIENT).wait_elected()
        follower = Stand(servers.hosts, "/spark", "h2:7077", session_timeout=PATIENT)
        follower.wait_for(follows("h1:7077"))
        servers.kill()
        leader.wait_for(lambda event: isinstance(event, Frozen), "frozen")
        follower.wait_for(lambda event: isinstance(event, Follow) and "does not answer" in event.reason, "no leader")
        servers.start()
        # The new server may accept a connection before it can answer; the client closes it after 2/3 of the session timeout.
        leader.wait_for(lambda event: isinstance(event, Thawed), "thawed", within=2 * PATIENT)

        def heard_last() -> bool:
            return follows("h1:7077")([event for event in follower.events if isinstance(event, Follow)][-1])

        wait_until(heard_last, within=2 * PATIENT, what=lambda: f"the same leader: {follower.events}")
        leader.open_records().commit({"driver/1": b"one"})
        follower.close()
        leader.close()


def test_a_server_that_takes_connections_and_says_nothing_does_not_use_up_the_session(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(20)
        there = mute.getsockname()[1]
        stands.append(Stand(f"127.0.0.1:{there}", directory, session_timeout=15))
        first, _ = mute.accept()
        started = time.monotonic()
        second, _ = mute.accept()
        assert time.monotonic() - started < 14, "it should have been given up before the session is over"
        first.close()
        second.close()


def test_members_of_an_ensemble_may_go_one_at_a_time(tmp_path: Path) -> None:
    need_zookeeper()
    with ZooKeeperServers(tmp_path, 3) as servers:
        leader = Stand(servers.hosts, "/spark", session_timeout=PATIENT).wait_elected()
        records = leader.open_records()
        for number in range(6):
            victim = servers.leader() if number % 2 else number % 3
            servers.kill(victim)

            def written(number: int = number) -> bool:
                try:
                    records.commit({f"driver/{number}": b"%d" % number})
                except Exception:
                    return False
                return True

            wait_until(written, what="a write without that member")
            servers.start(victim)
        assert not any(isinstance(event, Revoked) for event in leader.events), leader.events
        wait_until(lambda: leader.leadership.zookeeper.is_connected)
        assert leader.open_records().read() == {f"driver/{n}": b"%d" % n for n in range(6)}
        leader.close()


def test_with_an_identity_strangers_neither_read_nor_write(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand]
) -> None:
    open_to_all = Stand(zookeeper.hosts, directory, "h1:7077").wait_elected()
    open_to_all.open_records().commit({"driver/1": b"from before"})
    open_to_all.close()
    stand = Stand(zookeeper.hosts, directory, "h1:7077", auth="spark:a secret").wait_elected()
    stands.append(stand)
    records = stand.open_records()
    records.commit({"driver/2": b"secret"})
    client = zookeeper.client()
    for path in ("leader", "epoch", "masters", "records", "records/journal", "records/journal/0000000002"):
        with pytest.raises(NoAuthError):
            client.get(f"{directory}/{path}")
        with pytest.raises(NoAuthError):
            client.set(f"{directory}/{path}", b"mine")
    with pytest.raises(NoAuthError):
        client.delete(f"{directory}/leader")
    client.stop()
    assert stand.open_records().read() == {"driver/1": b"from before", "driver/2": b"secret"}
    stranger = Stand(zookeeper.hosts, directory, "h2:7077", auth="spark:a guess")
    stands.append(stranger)
    stranger.wait_for(lambda event: isinstance(event, Follow) and "refuses a call" in event.reason, "refused")
    assert not stranger.epoch


@pytest.mark.parametrize(("node", "said"), [("epoch", "is not an epoch"), ("leader", "not written by a Stoker master")])
def test_nodes_of_others_stop_no_master_and_it_goes_on_when_they_are_set_right(
    zookeeper: ZooKeeperServers, directory: str, stands: list[Stand], node: str, said: str
) -> None:
    client = zookeeper.client()
    client.create(f"{directory}/{node}", b"\xff not ours", makepath=True)
    stands.append(Stand(zookeeper.hosts, directory, "h1:7077"))
    stands[0].wait_for(lambda event: isinstance(event, Follow) and said in event.reason, said)
    assert not stands[0].epoch
    client.delete(f"{directory}/{node}")
    client.stop()
    stands[0].wait_elected()
