"""Strangers at the master's port, before they have authenticated: what they send and hold is limited. Honest clients beside
them get answers."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.core.model.messages import GetStatus, Submitted, UploadChunk
from stoker.gateway import gateway
from stoker.gateway.server import GatedServer
from stoker.io import strangers, transport
from stoker.io.sockets import Incoming, Server
from tests.support.net import LinkedPeer, Net
from tests.support.proxy import Proxy

MIB = 2**20
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(15 + 1 + 31)
LARGE = b"\x02" + (16 * MIB).to_bytes(8, "big")  # a frame that will have 16 MiB
CLIENTS = 50
PROMPT = 1.0  # seconds for an honest client's answer on a busy machine


@pytest.fixture(params=["marked", "door"])
def net(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """A master's port; strangers come straight to the ROUTER, or by the door."""
    if request.param == "door":
        monkeypatch.setattr(transport, "mark_connections", lambda sock: None)
    net = Net(tmp_path, make=Server if request.param == "marked" else GatedServer)
    yield net
    net.close()


@pytest.fixture
def clients(net: Net) -> list[LinkedPeer]:
    return [net.opened(name=f"n{number}") for number in range(CLIENTS)]


def connect(net: Net) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", net.server.port), timeout=20)
    sock.setblocking(False)
    return sock


def is_closed(sock: socket.socket) -> bool:
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def answered(net: Net, clients: list[LinkedPeer]) -> float:
    """Return the slowest round trip of these clients, seconds."""
    slowest = 0.0
    for client in clients:
        net.events.clear()
        client.heard.clear()
        started = time.perf_counter()
        client.ask(GetStatus(request=1))
        net.until(lambda: net.of(Incoming, client.peer))  # noqa: B023 - used in this round only
        assert net.server.send(client.peer, Submitted(request=1, driver_id="d"))
        net.until(lambda: client.heard)  # noqa: B023
        slowest = max(slowest, time.perf_counter() - started)
    return slowest


def resident() -> int:
    """Return this process's memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_stranger_sends_no_large_message(net: Net, clients: list[LinkedPeer]) -> None:
    """They are closed within tenths of a second, so the master keeps what came meanwhile only."""
    answered(net, clients)
    before = resident()
    held = [connect(net) for _ in range(40)]
    try:
        for sock in held:
            sock.sendall(GREETING + LARGE)
        more = bytes(16384)

        def pushed() -> bool:
            for sock in held:
                with contextlib.suppress(OSError):
                    sock.send(more)
            return all(is_closed(sock) for sock in held)

        net.until(pushed, what="all are closed")
        slowest = answered(net, clients)
        grown = resident() - before
        print(f"{grown / MIB:.1f} MiB more; slowest answer {slowest:.4f} s")
        assert grown < 40 * MIB and slowest < PROMPT  # of 640 that they announced
    finally:
        for sock in held:
            sock.close()


def test_a_senders_connections_are_limited(
    net: Net, clients: list[LinkedPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that do not go on with their handshake, also those that send nothing at all; the newest stay."""
    monkeypatch.setattr(strangers, "MOST_OF_ONE", 20)
    monkeypatch.setattr(strangers, "GRACE", 3)
    held = [connect(net) for _ in range(60)]
    try:
        for sock in held:
            sock.sendall(GREETING)
        net.until(lambda: sum(is_closed(sock) for sock in held) == 40)
        assert not any(is_closed(sock) for sock in held[40:])
        assert answered(net, clients) < PROMPT
        with contextlib.closing(connect(net)):
            late = net.opened(name="late")
        assert answered(net, [late]) < PROMPT
    finally:
        for sock in held:
            sock.close()


class Slow(Proxy):
    """A slow network: 4 KiB each 5 ms."""

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                time.sleep(0.005)
                sink.sendall(data)


def test_who_was_admitted_may_send_a_large_message_slowly(net: Net) -> None:
    with Slow(net.address) as slow:
        client = net.opened(address=slow.address)
        client.ask(UploadChunk(request=1, sha256="ab" * 32, size=MIB, offset=0, data=bytes(MIB)))
        net.until(lambda: net.of(Incoming, client.peer))
        assert client.closed is None


def test_connections_that_send_nothing_are_limited_at_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "mark_connections", lambda sock: None)
    monkeypatch.setattr(gateway, "MOST_SILENT", 20)
    net = Net(tmp_path, make=GatedServer)
    held = [connect(net) for _ in range(60)]
    try:
        net.until(lambda: sum(is_closed(sock) for sock in held) == 40)
        assert answered(net, [net.opened()]) < PROMPT
    finally:
        for sock in held:
            sock.close()
        net.close()
