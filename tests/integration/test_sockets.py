"""``io.sockets`` over real TCP: which peers are admitted, and which messages each may send."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import zmq

from stoker.core.model.messages import (
    Accepted,
    Failed,
    GetStatus,
    Reconnect,
    RegisterWorker,
    Submitted,
    WorkerHeartbeat,
)
from stoker.core.model.states import Role
from stoker.errors import ProtocolError
from stoker.io import transport
from stoker.io.sockets import Garbage, Incoming, Link, Opened, PeerGone
from stoker.wire import codec
from tests.support.net import Net, raw_dealer

HEARTBEAT = WorkerHeartbeat(worker_id="worker-20260101000000-h-1")


# --- messages ------------------------------------------------------------------------------------------------------


def test_messages_both_ways_in_order(net: Net) -> None:
    worker = net.opened(Role.WORKER, "w1", decoder=codec.to_worker)
    for number in range(50):
        worker.ask(WorkerHeartbeat(worker_id=str(number)))
    net.until(lambda: len(net.events) == 50)
    assert [event.message.worker_id for event in net.of(Incoming, worker.peer)] == [str(n) for n in range(50)]
    first = net.events[0]
    assert first.role is Role.WORKER
    assert first.key == (net.keys.pair(Role.WORKER)[0] if net.keys else "")
    for epoch in range(50):
        assert net.server.send(worker.peer, Reconnect(epoch=epoch))
    net.until(lambda: len(worker.heard) == 51)
    assert worker.heard == [Opened(), *(Reconnect(epoch=epoch) for epoch in range(50))]


def test_drain_keeps_to_its_limit_and_loses_nothing(net: Net) -> None:
    net.draining = False
    client = net.opened()
    for number in range(25):
        client.ask(GetStatus(request=number))
    client.link.close(linger_s=5)  # sent, then closed: the messages come before the PeerGone
    net.links.remove(client)
    parts: list[list[Any]] = []

    def drained() -> bool:
        parts.append(net.server.drain(10))
        return any(isinstance(event, PeerGone) for event in parts[-1])

    net.until(drained)
    events = [event for part in parts for event in part]
    assert [event.message.request for event in events[:-1]] == list(range(25))
    assert events[-1] == PeerGone(client.peer)
    assert max(len([event for event in part if isinstance(event, Incoming)]) for part in parts) <= 10


def test_sending_to_somebody_unknown_is_false(net: Net) -> None:
    assert not net.server.send(b"worker/nobody/1", Reconnect(epoch=1))


def test_a_link_is_not_open_before_its_handshake(net: Net) -> None:
    peer = net.link()
    assert not peer.link.send(GetStatus(request=1))
    net.until(lambda: Opened() in peer.heard)
    peer.ask(GetStatus(request=2))
    net.until(lambda: net.events)
    assert [event.message.request for event in net.events] == [2]


def test_an_oversized_message_is_refused_before_it_is_sent(net: Net) -> None:
    client = net.opened()
    with pytest.raises(ProtocolError, match="over the limit"):
        client.link.send(GetStatus(request=1, id="x" * (codec.MAX_BODY + 1)))
    client.ask(GetStatus(request=2))
    net.until(lambda: net.events)
    assert net.server.send(client.peer, Submitted(request=2, driver_id="d", text="x" * (codec.MAX_BODY + 1)))
    net.until(lambda: len(client.heard) > 1)
    assert isinstance(client.heard[1], Failed)
    assert client.heard[1].request == 2 and "ask for less" in client.heard[1].reason


def test_the_largest_message_passes(net: Net) -> None:
    """A worker's registration may be that large; a client's messages may not."""
    worker = net.opened(Role.WORKER, "w1", decoder=codec.to_worker)
    worker.ask(WorkerHeartbeat(worker_id="x" * (codec.MAX_TO_MASTER - 100)))
    net.until(lambda: net.events)
    assert isinstance(net.events[0], Incoming)
    client = net.opened()
    client.ask(GetStatus(request=1, id="x" * (4 * 2**20)))
    net.until(lambda: len(net.events) > 1)
    assert isinstance(net.events[1], Garbage) and "spark.stoker.limits.message" in net.events[1].reason


def test_a_peer_that_does_not_read_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "HIGH_WATER_MARK", 5)
    net = Net(tmp_path)
    try:
        stuck = net.opened()
        stuck.ask(GetStatus(request=1))
        net.until(lambda: net.events)
        net.links.remove(stuck)  # reads no more
        text = "x" * 1_000_000
        sent = [net.server.send(stuck.peer, Accepted(request=1, text=text)) for _ in range(100)]
        assert sent[0]
        assert not sent[-1]
        net.until(lambda: net.of(PeerGone, stuck.peer), within=2)
        stuck.link.send(GetStatus(request=2))
        net.settle()
        assert len(net.of(Incoming, stuck.peer)) == 1  # messages from now on are dropped
        assert len(net.of(PeerGone, stuck.peer)) == 1
        net.links.append(stuck)
        stuck.close()
        net.settle()
        assert len(net.of(PeerGone, stuck.peer)) == 1
    finally:
        net.close()


# --- who may say what ----------------------------------------------------------------------------------------------


def test_a_role_may_only_send_its_own_messages(net: Net) -> None:
    worker = net.opened(Role.WORKER, decoder=codec.to_worker)
    client = net.opened(Role.CLIENT)
    worker.ask(GetStatus(request=7))
    client.ask(HEARTBEAT)
    net.until(lambda: len(net.events) == 2 and len(worker.heard) == 2)
    assert {event.peer for event in net.of(Garbage)} == {worker.peer, client.peer}
    assert worker.heard[1] == Failed(request=7, reason="a worker may not send GetStatus", code="not-authorized")
    client.ask(GetStatus(request=8))  # the connection lives on
    net.until(lambda: net.of(Incoming, client.peer))


def test_a_key_decides_the_role_not_the_claim(curve: Net) -> None:
    liar = raw_dealer(curve, b"worker/w1/abc", Role.CLIENT)
    liar.send_multipart(codec.encode(HEARTBEAT))
    liar.send_multipart(codec.encode(GetStatus(request=3)))
    curve.until(lambda: len(curve.events) == 2)
    assert [event.reason for event in curve.of(Garbage)] == ["a client key calls itself worker"] * 2
    assert liar.poll(5000)
    answer = codec.to_client.decode(liar.recv_multipart())
    assert isinstance(answer, Failed)
    assert (answer.request, answer.code) == (3, "not-authorized")
    liar.close()


def test_a_peer_has_the_name_of_its_key_not_the_one_it_claims(curve: Net) -> None:
    assert curve.keys is not None and curve.authorizer is not None
    admitted = curve.authorizer.lookup(curve.keys.pair(Role.CLIENT)[0])
    assert admitted is not None and admitted[1] != "somebody-else"
    curve.opened(name="somebody-else").ask(GetStatus(request=3))
    curve.until(lambda: curve.events)
    assert [event.name for event in curve.of(Incoming)] == [admitted[1]]


@pytest.mark.parametrize(
    "identity", [b"", b"nonsense", b"worker", b"worker/x", b"king/x/1", b"\xff/\xfe/1", b"worker//"]
)
def test_a_peer_without_a_proper_routing_id_is_garbage(net: Net, identity: bytes) -> None:
    stranger = raw_dealer(net, identity) if identity else raw_dealer(net, b"\x01")
    stranger.send_multipart(codec.encode(GetStatus(request=3)))
    net.until(lambda: net.events)
    assert isinstance(net.events[0], Garbage)
    stranger.close()


def test_a_routing_id_taken_by_another_key_is_another_peer(curve: Net) -> None:
    victim = curve.opened(Role.WORKER, decoder=codec.to_worker)
    victim.ask(HEARTBEAT)
    curve.until(lambda: curve.events)
    thief = raw_dealer(curve, victim.peer, Role.CLIENT)
    thief.send_multipart(codec.encode(HEARTBEAT))
    curve.until(lambda: curve.of(Garbage))
    assert [type(event) for event in curve.events] == [Incoming, PeerGone, Garbage]
    thief.close()


def test_a_revoked_key_is_refused_on_old_and_new_connections(curve: Net) -> None:
    assert curve.keys is not None and curve.authorizer is not None
    worker = curve.opened(Role.WORKER, decoder=codec.to_worker)
    client = curve.opened(Role.CLIENT)
    worker.ask(HEARTBEAT)
    client.ask(GetStatus(request=1))
    curve.until(lambda: len(curve.of(Incoming)) == 2)
    lines = curve.keys.authorized.read_text().splitlines(keepends=True)
    curve.keys.authorized.write_text("".join(line for line in lines if not line.startswith("client")))
    curve.authorizer.reload()
    client.ask(GetStatus(request=2))
    worker.ask(HEARTBEAT)
    curve.until(lambda: curve.of(PeerGone, client.peer) and len(curve.of(Incoming, worker.peer)) == 2)
    curve.until(lambda: client.closed)
    assert len(curve.of(Incoming, client.peer)) == 1, "what it asks after its key left is not read"
    late = curve.link(Role.CLIENT)
    curve.until(lambda: late.closed)
    assert late.closed is not None
    assert late.closed.denied


# --- noise on the port ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f" + b"\x00" * 100,  # a ZMTP 2 greeting
        b"\xff" + b"\x00" * 8 + b"\x7f\x03\x00NULL" + b"\x00" * 48,  # a ZMTP 3 one, and then nothing
        b"\x01\x00\x05\x00abcd",  # ZMTP 1: an empty identity and a message
        bytes(random.Random(1).randbytes(5000)),
        b"\x00" * 70_000,
    ],
    ids=["http", "zmtp2", "zmtp3", "zmtp1", "random", "zeros"],
)
def test_noise_costs_only_its_own_connection(net: Net, noise: bytes) -> None:
    good = net.opened(Role.WORKER, decoder=codec.to_worker)
    with socket.create_connection(("127.0.0.1", net.server.port)) as stranger:
        stranger.sendall(noise)
        good.ask(RegisterWorker(worker_id="w", boot="b", host="h", port=1, cores=1, memory_mib=1))
        net.until(lambda: net.of(Incoming, good.peer))
    net.settle()
    assert not [event for event in net.events if event.peer != good.peer]
    assert net.server.send(good.peer, Reconnect(epoch=1))


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"", b""],
        [codec.HEADER],
        [codec.HEADER, b""],
        [codec.HEADER, b"\xc1"],
        [codec.HEADER, b"\x81\xa4type\xa4None"],
        [codec.HEADER, b"\x80", b"\x80"],
        [b"\x00", b"\x80"],
        [b"x"] * 1000,
    ],
    ids=lambda frames: f"{len(frames)}-{b''.join(frames)[:8].hex()}",
)
def test_garbage_from_an_admitted_peer_is_reported_and_dropped(net: Net, frames: list[bytes]) -> None:
    peer = raw_dealer(net, b"client/c/1")
    peer.send_multipart(frames)
    peer.send_multipart(codec.encode(GetStatus(request=1)))
    net.until(lambda: len(net.events) == 2)
    assert [type(event) for event in net.events] == [Garbage, Incoming]
    peer.close()
    net.until(lambda: net.of(PeerGone, b"client/c/1"))


def test_a_huge_message_ends_its_connection(net: Net) -> None:
    good = net.opened(name="good")
    peer = net.opened(name="huge")
    peer.ask(GetStatus(request=1))
    good.ask(GetStatus(request=1))
    net.until(lambda: len(net.events) == 2)
    peer.link.sources()[0].send_multipart([codec.HEADER, b"x" * (40 * 1024 * 1024)])
    net.until(lambda: net.of(PeerGone, peer.peer) and peer.closed)
    good.ask(GetStatus(request=2))
    net.until(lambda: len(net.of(Incoming, good.peer)) == 2)
    assert net.names(PeerGone) == [peer.peer]


# --- without a loop ------------------------------------------------------------------------------------------------


def test_wait_returns_when_there_is_something_and_not_before(net: Net) -> None:
    context: zmq.Context[Any] = zmq.Context()
    link = Link(context, address=net.address, keys=net.keys, role=Role.CLIENT, name="n", decoder=codec.to_client)
    net.until(lambda: Opened() in link.drain())
    started = time.monotonic()
    assert not link.wait(0.05)
    assert time.monotonic() - started >= 0.045
    link.send(GetStatus(request=1))
    net.until(lambda: net.events)
    net.server.send(net.events[0].peer, Accepted(request=1))
    assert link.wait(10)
    net.until(lambda: Accepted(request=1) in link.drain())
    link.close()
    context.term()
