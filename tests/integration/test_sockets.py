"""``io.sockets`` over real TCP: who is let in, who may say what, and who is gone."""

from __future__ import annotations

import random
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
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
from stoker.errors import ConfigError, ProtocolError, UsageError
from stoker.gateway.server import GatedServer
from stoker.io import transport
from stoker.io.sockets import Closed, Garbage, Gone, Link, Opened, Received, Server
from stoker.security.keys import Keys
from stoker.wire import codec
from tests.support.net import DEADLINE, Net, Peer, child

HEARTBEAT = WorkerHeartbeat(worker_id="worker-20260101000000-h-1")


@pytest.fixture(params=["curve", "open", "gated"])
def net(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Net]:
    """With authentication, without, and with it behind the gateway's door."""
    make = GatedServer if request.param == "gated" else Server
    net = Net(tmp_path, authenticate=request.param != "open", make=make)
    yield net
    net.close()


@pytest.fixture
def curve(tmp_path: Path) -> Iterator[Net]:
    net = Net(tmp_path)
    yield net
    net.close()


def raw_dealer(net: Net, identity: bytes, role: Role = Role.CLIENT) -> zmq.Socket[bytes]:
    """A socket that speaks ZMTP with a good key, and whatever it likes above that."""
    dealer = net.loop.context.socket(zmq.DEALER)
    dealer.set(zmq.LINGER, 0)
    dealer.set(zmq.ROUTING_ID, identity)
    if net.keys is not None:
        public, secret = net.keys.pair(role)
        dealer.set(zmq.CURVE_PUBLICKEY, public.encode())
        dealer.set(zmq.CURVE_SECRETKEY, secret.encode())
        dealer.set(zmq.CURVE_SERVERKEY, net.keys.master_key(net.address).encode())
    dealer.connect(f"tcp://{net.address}")
    net.strangers.append(dealer)
    return dealer


# --- messages ------------------------------------------------------------------------------------------------------


def test_messages_both_ways_in_order(net: Net) -> None:
    worker = net.opened(Role.WORKER, "w1", decoder=codec.to_worker)
    for number in range(50):
        worker.ask(WorkerHeartbeat(worker_id=str(number)))
    net.until(lambda: len(net.events) == 50)
    assert [event.message.worker_id for event in net.of(Received, worker.peer)] == [str(n) for n in range(50)]
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
    client.link.close(linger_s=5)  # sent, then closed: the messages come before the Gone
    net.links.remove(client)
    parts: list[list[Any]] = []

    def drained() -> bool:
        parts.append(net.server.drain(10))
        return any(isinstance(event, Gone) for event in parts[-1])

    net.until(drained)
    events = [event for part in parts for event in part]
    assert [event.message.request for event in events[:-1]] == list(range(25))
    assert events[-1] == Gone(client.peer)
    assert max(len([event for event in part if isinstance(event, Received)]) for part in parts) <= 10


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
    client = net.opened()
    client.ask(GetStatus(request=1, id="x" * (codec.MAX_BODY - 100)))
    net.until(lambda: net.events)
    assert isinstance(net.events[0], Received)


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
        net.until(lambda: net.of(Gone, stuck.peer), within=2)
        stuck.link.send(GetStatus(request=2))
        net.settle()
        assert len(net.of(Received, stuck.peer)) == 1  # what it says now is unheard
        assert len(net.of(Gone, stuck.peer)) == 1
        net.links.append(stuck)
        stuck.close()
        net.settle()
        assert len(net.of(Gone, stuck.peer)) == 1
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
    net.until(lambda: net.of(Received, client.peer))


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
    assert [event.name for event in curve.of(Received)] == [admitted[1]]


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
    assert [type(event) for event in curve.events] == [Received, Gone, Garbage]
    thief.close()


def test_a_revoked_key_is_refused_on_old_and_new_connections(curve: Net) -> None:
    assert curve.keys is not None and curve.authorizer is not None
    worker = curve.opened(Role.WORKER, decoder=codec.to_worker)
    client = curve.opened(Role.CLIENT)
    worker.ask(HEARTBEAT)
    client.ask(GetStatus(request=1))
    curve.until(lambda: len(curve.of(Received)) == 2)
    lines = curve.keys.authorized.read_text().splitlines(keepends=True)
    curve.keys.authorized.write_text("".join(line for line in lines if not line.startswith("client")))
    curve.authorizer.reload()
    client.ask(GetStatus(request=2))
    worker.ask(HEARTBEAT)
    curve.until(lambda: curve.of(Garbage, client.peer) and len(curve.of(Received, worker.peer)) == 2)
    curve.until(lambda: len(client.heard) == 2)
    assert client.heard[1] == Failed(request=2, reason="this key is no longer admitted", code="not-authorized")
    late = curve.link(Role.CLIENT)
    curve.until(lambda: late.closed)
    assert late.closed is not None
    assert late.closed.denied


# --- why a link closes ---------------------------------------------------------------------------------------------


def closed(net: Net, **options: Any) -> Closed:
    peer = net.link(**options)
    net.until(lambda: peer.closed, what="closed")
    assert peer.closed is not None
    assert peer.heard[-1] == peer.closed
    assert not peer.link.send(GetStatus(request=1))
    assert peer.link.drain() == []
    return peer.closed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_listens(net: Net) -> None:
    end = closed(net, address=f"127.0.0.1:{free_port()}")
    assert not end.denied
    assert "is a master running there?" in end.reason


def test_no_such_host(net: Net) -> None:
    end = closed(net, address="no-such-host.invalid:7077")
    assert not end.denied
    assert "cannot find the host" in end.reason


@pytest.mark.parametrize("address", ["", "host", "host:", "host:x", ":7077", "host:0", "host:65536", "a b:1", "h/x:1"])
def test_a_malformed_address(net: Net, address: str) -> None:
    with pytest.raises(UsageError):
        net.link(address=address, keys=None)


def test_a_key_the_master_does_not_know(curve: Net, tmp_path: Path) -> None:
    stranger = Keys.open(tmp_path / "other", create=(Role.CLIENT,))
    assert curve.keys is not None
    stranger.known_masters.write_text(curve.keys.known_masters.read_text())
    end = closed(curve, keys=stranger)
    assert end.denied
    assert "authorized" in end.reason


def test_another_master_than_the_one_we_trust(curve: Net, tmp_path: Path) -> None:
    end = closed(curve, keys=Keys.open(tmp_path / "other", create=tuple(Role)))
    assert "known_masters" in end.reason


def test_without_authentication_against_a_master_with_it(curve: Net) -> None:
    end = closed(curve, keys=None)
    assert end.denied
    assert "spark.authenticate" in end.reason


def test_with_authentication_against_a_master_without_it(tmp_path: Path) -> None:
    net = Net(tmp_path, authenticate=False)
    try:
        end = closed(net, keys=Keys.open(tmp_path / "keys", create=tuple(Role)))
        assert end.denied
        assert "spark.authenticate" in end.reason
    finally:
        net.close()


def test_a_web_server_is_no_master(net: Net) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:
        web.settimeout(10)
        peer = net.link(address=f"127.0.0.1:{web.getsockname()[1]}")
        connection, _ = web.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + b"x" * 100)
        net.until(lambda: peer.closed)


def test_the_master_goes(net: Net) -> None:
    client = net.opened()
    client.ask(GetStatus(request=1))
    net.until(lambda: net.events)
    net.draining = False
    net.server.close()
    net.until(lambda: client.closed, within=2)
    assert client.closed is not None
    assert not client.closed.denied
    assert "lost the connection" in client.closed.reason


def test_another_protocol_version(net: Net) -> None:
    newer = raw_dealer(net, b"client/c/1")
    newer.send_multipart([b"\x63", b"whatever"])
    net.until(lambda: net.of(Garbage))
    assert newer.poll(5000)  # is told, in a version that differs
    assert newer.recv_multipart()[0] == codec.HEADER
    newer.close()


def test_a_master_of_another_protocol_version(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    client = net.opened()
    client.ask(GetStatus(request=1))
    net.until(lambda: net.events)
    monkeypatch.setattr(codec, "encode", lambda message: [b"\x63", b"\x80"])
    assert net.server.send(client.peer, Accepted(request=1))
    net.until(lambda: client.closed)
    assert client.closed is not None
    assert client.closed.denied
    assert "upgrade the older side" in client.closed.reason


# --- where a server listens ----------------------------------------------------------------------------------------


def test_a_busy_port_is_followed_by_the_next(tmp_path: Path) -> None:
    first = Net(tmp_path)
    second = Net(tmp_path, port=first.server.port)
    try:
        assert first.server.port < second.server.port <= first.server.port + 16
        with pytest.raises(ConfigError, match=f"port {first.server.port} at .* is taken"):
            Net(tmp_path, port=first.server.port, max_port_retries=0)
    finally:
        second.close()
        first.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_ours(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="--host"):
        Net(tmp_path, host=host, port=7077)


def test_a_host_name_and_ipv6(tmp_path: Path) -> None:
    for host, address in ("localhost", "localhost"), ("::1", "[::1]"):
        if host == "::1" and not has_ipv6_loopback():
            continue
        net = Net(tmp_path, host=host)
        net.opened(address=f"{address}:{net.server.port}")
        net.close()


def has_ipv6_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_half_an_authentication_is_a_programming_error(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path / "keys", create=tuple(Role))
    net = Net(tmp_path, authenticate=False)
    try:
        with pytest.raises(ValueError, match="both"):
            Server(net.loop, host="127.0.0.1", port=0, keys=keys, authorizer=None)
    finally:
        net.close()


def test_the_soft_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        Net(tmp_path).close()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(before[1], 65536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# --- who is gone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_peer_is_noticed_at_once_and_its_descriptor_may_be_used_again(
    net: Net, number: signal.Signals
) -> None:
    with child(net, "victim") as process:
        victim = net.events[0].peer
        heir = net.link(name="heir")
        process.send_signal(number)
        net.until(lambda: net.of(Gone, victim), within=0.5)
        net.until(lambda: Opened() in heir.heard)
        heir.ask(GetStatus(request=1))
        net.until(lambda: net.of(Received, heir.peer))
        net.settle()
        assert net.names(Gone) == [victim]
        assert not net.server.send(victim, Accepted(request=1))
        assert net.server.send(heir.peer, Accepted(request=1))


def test_a_descriptor_used_again_before_the_master_looked(net: Net) -> None:
    """The master is busy while a peer dies and another gets its descriptor: the living one is not taken for the dead."""
    with child(net, "victim") as process:
        victim = net.events[0].peer
        net.draining = False
        process.kill()
        process.wait()
        heirs = [net.opened(name=f"heir{number}") for number in range(5)]
        for heir in heirs:
            heir.ask(GetStatus(request=1))
        net.draining = True
        net.until(lambda: {heir.peer for heir in heirs} <= set(net.names(Received)))
        net.settle()
        assert net.names(Gone) == [victim]


def test_a_restarted_peer_of_the_same_name_is_a_new_peer(net: Net) -> None:
    with child(net, "same") as first:
        first.kill()
        with child(net, "same"):
            net.settle()
            old, new = net.names(Received)
            assert old != new
            assert net.names(Gone) == [old]
            assert net.server.send(new, Accepted(request=1))


def test_a_peer_that_never_spoke_is_nobodys(net: Net) -> None:
    net.opened().close()
    net.settle()
    assert net.events == []


def test_events_that_come_while_messages_are_read(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the monitor before the messages finds nothing yet: what comes after it must be enough."""
    net.draining = False
    peer = net.opened()
    peer.ask(GetStatus(request=1))
    drain, look = net.server.drain, net.server._read_monitor
    looks: list[int] = []
    monkeypatch.setattr(net.server, "_read_monitor", lambda: looks.append(1) or len(looks) == 1 or look())
    monkeypatch.setattr(net.server, "drain", lambda: looks.clear() or drain())
    net.draining = True
    net.until(lambda: net.events)
    assert isinstance(net.events[0], Received)
    peer.close()
    end = threading.Timer(DEADLINE, net.loop.stop)
    end.start()

    def on_round() -> None:  # no deadline: only what is told can wake the loop
        net.events += net.server.drain()
        if net.of(Gone, peer.peer):
            net.loop.stop()

    net.loop.run(on_round)
    assert end.is_alive(), "the loop slept on news"
    end.cancel()
    assert net.names(Gone) == [peer.peer]


def test_a_link_that_ends_is_read_to_its_end(tmp_path: Path) -> None:
    net = Net(tmp_path, authenticate=False)
    master = net.loop.context.socket(zmq.ROUTER)
    port = master.bind_to_random_port("tcp://127.0.0.1")
    peer = net.opened(address=f"127.0.0.1:{port}")
    peer.ask(GetStatus(request=1))
    master.recv_multipart()  # a ROUTER drops what it sends to a peer it has not heard yet
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


def all_open(peers: list[Peer]) -> bool:
    return all(peer.is_open for peer in peers)


@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_peers_come_and_go(net: Net, seed: int) -> None:
    """In a random order, some without a word, while the master looks now and then: one Gone for each that was heard."""
    rng = random.Random(seed)
    living: list[Peer] = []
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
    net.until(lambda: all(len(net.of(Received, peer.peer)) == asked[peer.peer] for peer in living))
    net.settle()
    heard = set(net.names(Received))
    assert len(living) > 5
    assert len(heard & departed) > 20
    assert sorted(net.names(Gone)) == sorted(heard & departed)
    for name in heard & departed:
        kinds = [type(event) for event in net.events if event.peer == name]
        assert kinds == [Received] * (len(kinds) - 1) + [Gone]
    assert all(net.server.send(peer.peer, Accepted(request=0)) for peer in living)


def test_a_silent_peer_is_disconnected_by_the_heartbeat(tmp_path: Path) -> None:
    net = Net(tmp_path, heartbeat_timeout=0.4)
    try:
        with child(net, "frozen") as process:
            process.send_signal(signal.SIGSTOP)
            try:
                net.until(lambda: net.of(Gone), within=10)
            finally:
                process.send_signal(signal.SIGCONT)
    finally:
        net.close()


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
        net.until(lambda: net.of(Received, good.peer))
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
    assert [type(event) for event in net.events] == [Garbage, Received]
    peer.close()
    net.until(lambda: net.of(Gone, b"client/c/1"))


def test_a_huge_message_ends_its_connection(net: Net) -> None:
    good = net.opened(name="good")
    peer = net.opened(name="huge")
    peer.ask(GetStatus(request=1))
    good.ask(GetStatus(request=1))
    net.until(lambda: len(net.events) == 2)
    peer.link.sources()[0].send_multipart([codec.HEADER, b"x" * (40 * 1024 * 1024)])
    net.until(lambda: net.of(Gone, peer.peer) and peer.closed)
    good.ask(GetStatus(request=2))
    net.until(lambda: len(net.of(Received, good.peer)) == 2)
    assert net.names(Gone) == [peer.peer]


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
