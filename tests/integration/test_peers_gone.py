"""Which peers have gone: killed, silent, not reading, replaced; over real TCP."""

from __future__ import annotations

import random
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq

from stoker.core.model.messages import (
    Accepted,
    GetStatus,
)
from stoker.io.sockets import Closed, Incoming, Opened, PeerGone
from stoker.wire import codec
from tests.support.net import DEADLINE, LinkedPeer, Net, child

# --- who is gone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_peer_is_noticed_at_once_and_its_descriptor_may_be_used_again(
    net: Net, number: signal.Signals
) -> None:
    with child(net, "victim") as process:
        victim = net.events[0].peer
        heir = net.link(name="heir")
        process.send_signal(number)
        net.until(lambda: net.of(PeerGone, victim), within=0.5)
        net.until(lambda: Opened() in heir.heard)
        heir.ask(GetStatus(request=1))
        net.until(lambda: net.of(Incoming, heir.peer))
        net.settle()
        assert net.names(PeerGone) == [victim]
        assert not net.server.send(victim, Accepted(request=1))
        assert net.server.send(heir.peer, Accepted(request=1))


def test_a_descriptor_used_again_before_the_master_looked(net: Net) -> None:
    """The master is busy while a peer dies and another gets its descriptor: the living peer is not taken for the dead one."""
    with child(net, "victim") as process:
        victim = net.events[0].peer
        net.draining = False
        process.kill()
        process.wait()
        heirs = [net.opened(name=f"heir{number}") for number in range(5)]
        for heir in heirs:
            heir.ask(GetStatus(request=1))
        net.draining = True
        net.until(lambda: {heir.peer for heir in heirs} <= set(net.names(Incoming)))
        net.settle()
        assert net.names(PeerGone) == [victim]


def test_a_restarted_peer_of_the_same_name_is_a_new_peer(net: Net) -> None:
    with child(net, "same") as first:
        first.kill()
        with child(net, "same"):
            net.settle()
            old, new = net.names(Incoming)
            assert old != new
            assert net.names(PeerGone) == [old]
            assert net.server.send(new, Accepted(request=1))


def test_a_peer_that_never_spoke_is_nobodys(net: Net) -> None:
    net.opened().close()
    net.settle()
    assert net.events == []


def test_events_that_come_while_messages_are_read(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check of the monitor before the messages finds nothing yet: the check after them must be enough."""
    net.draining = False
    peer = net.opened()
    peer.ask(GetStatus(request=1))
    drain, look = net.server.drain, net.server._read_monitor
    looks: list[int] = []
    monkeypatch.setattr(net.server, "_read_monitor", lambda: looks.append(1) or len(looks) == 1 or look())
    monkeypatch.setattr(net.server, "drain", lambda: looks.clear() or drain())
    net.draining = True
    net.until(lambda: net.events)
    assert isinstance(net.events[0], Incoming)
    peer.close()
    end = threading.Timer(DEADLINE, net.loop.stop)
    end.start()

    def on_round() -> None:  # no deadline: only an event can wake the loop
        net.events += net.server.drain()
        if net.of(PeerGone, peer.peer):
            net.loop.stop()

    net.loop.run(on_round)
    assert end.is_alive(), "the loop slept on news"
    end.cancel()
    assert net.names(PeerGone) == [peer.peer]


def test_a_link_that_ends_is_read_to_its_end(tmp_path: Path) -> None:
    net = Net(tmp_path, authenticate=False)
    master = net.loop.context.socket(zmq.ROUTER)
    port = master.bind_to_random_port("tcp://127.0.0.1")
    peer = net.opened(address=f"127.0.0.1:{port}")
    peer.ask(GetStatus(request=1))
    master.recv_multipart()  # a ROUTER drops messages to a peer that has not sent any
    for number in range(25):
        master.send_multipart([peer.peer, *codec.encode(Accepted(request=number))])
    master.close(linger=5000)
    net.links.remove(peer)
    heard: list[Any] = []
    while not any(isinstance(item, Closed) for item in heard):
        assert peer.link.wait(DEADLINE)
        heard += peer.link.drain(1)
    assert heard[:-1] == [Accepted(request=number) for number in range(25)]
    net.links.append(peer)
    net.close()


def all_open(peers: list[LinkedPeer]) -> bool:
    return all(peer.is_open for peer in peers)


@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_peers_come_and_go(net: Net, seed: int) -> None:
    """In a random order, some without a message, while the master checks now and then: one PeerGone for each peer that sent
    one."""
    rng = random.Random(seed)
    living: list[LinkedPeer] = []
    asked: dict[bytes, int] = {}
    departed: set[bytes] = set()
    for number in range(0, 200, 5):
        net.draining = rng.random() < 0.5
        arriving = [net.link(name=f"p{number + index}") for index in range(5)]
        net.until(partial(all_open, arriving))
        living += arriving
        for peer in rng.sample(living, len(living) // 2):
            peer.ask(GetStatus(request=0))
            asked[peer.peer] = asked.get(peer.peer, 0) + 1
        for _ in range(rng.randrange(min(10, len(living)))):
            peer = living.pop(rng.randrange(len(living)))
            peer.close()
            departed.add(peer.peer)
    net.draining = True
    for peer in living:
        peer.ask(GetStatus(request=0))
        asked[peer.peer] = asked.get(peer.peer, 0) + 1
    net.until(lambda: all(len(net.of(Incoming, peer.peer)) == asked[peer.peer] for peer in living))
    net.settle()
    heard = set(net.names(Incoming))
    assert len(living) > 5
    assert len(heard & departed) > 20
    assert sorted(net.names(PeerGone)) == sorted(heard & departed)
    for name in heard & departed:
        kinds = [type(event) for event in net.events if event.peer == name]
        assert kinds == [Incoming] * (len(kinds) - 1) + [PeerGone]
    assert all(net.server.send(peer.peer, Accepted(request=0)) for peer in living)


def test_a_silent_peer_is_disconnected_by_the_heartbeat(tmp_path: Path) -> None:
    net = Net(tmp_path, heartbeat_timeout=0.4)
    try:
        with child(net, "frozen") as process:
            process.send_signal(signal.SIGSTOP)
            try:
                net.until(lambda: net.of(PeerGone), within=10)
            finally:
                process.send_signal(signal.SIGCONT)
    finally:
        net.close()
