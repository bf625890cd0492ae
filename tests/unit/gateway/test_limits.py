"""What one Spark client may cost the master: time to authenticate, unread answers, waiting messages."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stoker.core.model.messages import RegisterApplication
from stoker.gateway import connection as connection_module
from stoker.gateway.connection import _MOST_WAITING
from stoker.gateway.server import GatedServer
from stoker.gateway.spark_rpc import frame
from stoker.gateway.terms import Terms
from stoker.io.loop import Loop
from stoker.io.server import Incoming
from tests.support.spark import recorded
from tests.support.wait import wait_until

ASK, REGISTER = (frame(one.kind, one.body, one.request) for one in recorded("4.3"))


@contextlib.contextmanager
def serving(**how: Any) -> Iterator[GatedServer]:
    loop = Loop()
    try:
        server = GatedServer(loop, host="127.0.0.1", port=0, keys=None, authorizer=None, **how)
        try:
            yield server
        finally:
            server.close()
    finally:
        loop.close()


def connected(server: GatedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def test_who_does_not_authenticate_in_time_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_UNPROVEN", 0.2)
    with serving(terms=Terms(secret="s")) as server, connected(server) as client:
        client.sendall(ASK[:4])
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_who_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_MOST_UNREAD", 64 << 10)
    with serving() as server:
        assert server._door is not None
        server._door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # of its connections, too
        with socket.socket() as client:
            for size in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                client.setsockopt(socket.SOL_SOCKET, size, 4096)
            client.settimeout(20)
            client.connect(("127.0.0.1", server.port))
            with pytest.raises(ConnectionError):
                for _ in range(200):
                    client.sendall(ASK * 50)


def test_a_client_that_had_to_wait_is_read_on() -> None:
    count = _MOST_WAITING + 50
    found: list[Incoming] = []
    with serving() as server, connected(server) as client:
        sending = threading.Thread(target=client.sendall, args=(REGISTER * count,))
        sending.start()
        wait_until(lambda: len(server._events) >= _MOST_WAITING, what="it has to wait")

        def drained() -> bool:
            found.extend(event for event in server.drain() if isinstance(event, Incoming))
            return len(found) == count

        wait_until(drained, what=lambda: f"{len(found)} of {count} messages came")
        sending.join()
    assert all(isinstance(event.message, RegisterApplication) for event in found)
