"""Both ends of the connection between daemon and keeper: nothing is lost when a socket reads or writes only a part."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoker.io.loop import Loop
from stoker.worker.keeper.connection import DaemonConnection
from stoker.worker.keeper.link import KeeperLink
from stoker.worker.keeper.messages import FromKeeper

NOBODY = 65534
MANY = 2000  # messages of 1 KB: more than a socket holds


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(str(tmp_path / "keeper.sock"))
        made.listen(4)
        made.settimeout(20)
        yield made


@pytest.fixture
def keeper(listener: socket.socket) -> Iterator[DaemonConnection]:
    made = DaemonConnection(listener, 60.0)
    yield made
    if made.socket is not None:
        made.socket.close()


def joined(keeper: DaemonConnection) -> socket.socket:
    """A daemon that has connected."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.connect(keeper.listener.getsockname())
    keeper.accept()
    made.settimeout(20)
    return made


def failed(number: int) -> Any:
    return {"op": "failed", "key": str(number), "errno": 1, "reason": "x" * 1000}


def test_a_daemon_that_reads_late_gets_everything(keeper: DaemonConnection) -> None:
    received = b""
    with joined(keeper) as daemon:
        for number in range(MANY):
            keeper.say(failed(number))
        assert keeper.has_more_to_send
        while received.count(b"\n") < MANY:
            received += daemon.recv(1 << 20)
            keeper.flush()
    assert [json.loads(line)["key"] for line in received.splitlines()] == [str(number) for number in range(MANY)]


def test_a_message_may_come_in_pieces(keeper: DaemonConnection) -> None:
    with joined(keeper) as daemon:
        daemon.sendall(b'{"op": "ping"}\n{"op": "he')
        assert [message["op"] for message in keeper.receive()] == ["ping"]
        daemon.sendall(b'llo"}\n')
        assert [message["op"] for message in keeper.receive()] == ["hello"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a process of another user")
def test_another_user_s_connection_is_closed(listener: socket.socket, keeper: DaemonConnection, tmp_path: Path) -> None:
    os.chmod(listener.getsockname(), 0o777)
    tmp_path.chmod(0o755)
    stranger = os.fork()
    if stranger == 0:
        status = 2
        try:
            os.chdir(tmp_path)  # whose parents are closed to it
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(20)
                connection.connect("keeper.sock")
                status = 0 if connection.recv(1) == b"" else 1
        finally:
            os._exit(status)
    keeper.accept()
    assert keeper.socket is None
    assert os.waitpid(stranger, 0)[1] == 0


# --- the daemon's end ---


@pytest.fixture
def heard() -> list[FromKeeper]:
    return []


@pytest.fixture
def link(listener: socket.socket, tmp_path: Path, heard: list[FromKeeper]) -> Iterator[KeeperLink]:
    loop = Loop()
    made = KeeperLink(loop, tmp_path, on_message=heard.append, on_lost=lambda: None)
    made.open(away=1.0, silence=1.0, grace=1.0)
    yield made
    made.close()
    loop.close()


def test_a_keeper_that_reads_late_gets_everything(listener: socket.socket, link: KeeperLink) -> None:
    received = b""
    for number in range(MANY):
        link.say({"op": "forget", "key": f"{number}-{'x' * 1000}"})
    assert not link.flush()
    with listener.accept()[0] as keeper:
        keeper.settimeout(20)
        while received.count(b"\n") < MANY:
            received += keeper.recv(1 << 20)
            link.flush()
    numbers = [int(json.loads(line)["key"].partition("-")[0]) for line in received.splitlines()]
    assert numbers == list(range(MANY))


def test_a_message_of_the_keeper_may_come_in_pieces(
    listener: socket.socket, link: KeeperLink, heard: list[FromKeeper]
) -> None:
    with listener.accept()[0] as keeper:
        keeper.sendall(b'{"op": "bye"}\n{"op": "started", "key": "a')
        link._receive()
        assert [message["op"] for message in heard] == ["bye"]
        keeper.sendall(b'", "pid": 7}\n')
        link._receive()
    assert heard[1:] == [{"op": "started", "key": "a", "pid": 7}]
