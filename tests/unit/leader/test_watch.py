"""A standby's watch on the leader's port: real sockets on the loopback, opened and closed as a dying process does it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from stoker.leader.watch import LeaderWatch

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing the socket sends RST


class Leader:
    """Listens, and ends its connections on demand. ``accepted`` are those that are open."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepted: socket.socket | None = None

    def accept(self) -> None:
        self._accepted, _ = self._listener.accept()

    def reset(self) -> None:
        assert self._accepted is not None
        self._accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._accepted.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def leader() -> Iterator[Leader]:
    leader = Leader()
    yield leader
    leader.close()


def test_a_leader_that_no_longer_listens_is_gone(leader: Leader) -> None:
    gone = threading.Event()
    watch = LeaderWatch(leader.address, gone.set)
    watch.start()
    leader.accept()
    leader.close()
    leader.reset()
    assert gone.wait(10)


def test_a_dying_leader_that_still_accepts_costs_no_long_pause(leader: Leader) -> None:
    """The kernel resets its connections before it closes the port: some attempts in between are accepted, and reset."""
    gone = threading.Event()
    watch = LeaderWatch(leader.address, gone.set)
    watch.start()
    leader.accept()
    for _ in range(2):
        leader.reset()
        leader.accept()
    closed = time.monotonic()
    leader.close()
    leader.reset()
    assert gone.wait(10)
    assert time.monotonic() - closed < 0.3


def test_a_leader_that_keeps_hanging_up_is_asked_with_growing_pauses(leader: Leader) -> None:
    gone = threading.Event()
    watch = LeaderWatch(leader.address, gone.set)
    began = time.monotonic()
    watch.start()
    for _ in range(9):
        leader.accept()
        leader.reset()
    assert time.monotonic() - began > 1.0, "10 ms, doubling to 0.5 s"
    watch.stop()
    assert not gone.is_set()


def test_a_leader_that_was_never_reached_is_not_believed_to_be_gone(leader: Leader) -> None:
    gone = threading.Event()
    leader.close()
    watch = LeaderWatch(leader.address, gone.set)
    watch.start()
    assert not gone.wait(0.3)
    watch.stop()
