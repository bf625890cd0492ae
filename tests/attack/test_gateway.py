"""Spark clients at the gateway, some of them hostile: strangers who guess, other users of this machine, holders of the secret
who send as much as they can. The master's own peers must not notice."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoker.core.model.messages import GetStatus, Submitted
from stoker.gateway.budget import BURST, MOST_BYTES, MOST_UNPROVEN, SHARE, Budget
from stoker.gateway.connection import FOREIGN_USER
from stoker.gateway.guard import Caller
from stoker.gateway.server import GatedServer
from stoker.gateway.spark_rpc import MAX_FIRST_FRAME, Frame, FrameReader, Kind, frame, open_envelope
from stoker.gateway.terms import Terms
from stoker.io import transport
from stoker.io.sockets import Incoming
from stoker.security.throttle import FAILURES
from tests.support.net import Net
from tests.support.spark import FOLDER
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
SECRET = Terms("s3cr3t")
LONG = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """All peers come in by the door, where Spark clients do."""
    monkeypatch.setattr(transport, "mark_connections", lambda sock: None)


def net_of(folder: Path, terms: Terms) -> Net:
    return Net(folder, make=functools.partial(GatedServer, terms=terms))  # type: ignore[arg-type]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Net]:
    net = net_of(tmp_path, SECRET)
    yield net
    net.close()


def connect(net: Net) -> socket.socket:
    return socket.create_connection(("127.0.0.1", net.server.port), timeout=20)


def answers(sock: socket.socket, count: int = 1) -> list[Frame]:
    reader = FrameReader()
    found: list[Frame] = []
    while len(found) < count:
        data = sock.recv(65536)
        if not data:
            break
        found.extend(reader.feed(data))
    return found


def guess(net: Net, secret: str) -> bytes:
    """Return the master's answer to a client with that secret."""
    caller = Caller(secret, "crypto2", lambda: "nonce")
    with connect(net) as sock:
        sock.sendall(frame(Kind.RPC_REQUEST, caller.first(), request=1))
        (answer,) = answers(sock)
    return b"" if answer.kind is Kind.RPC_RESPONSE else answer.body


def test_guessing_is_slowed_down(guarded: Net) -> None:
    for number in range(FAILURES):
        assert b"wrong spark.authenticate.secret" in guess(guarded, f"guess {number}")
    assert b"too many wrong secrets" in guess(guarded, "one more")
    assert b"too many wrong secrets" in guess(guarded, "s3cr3t")  # nor does the right one help now


def test_guesses_at_a_long_secret_lock_out_nobody_else_at_that_address(tmp_path: Path) -> None:
    net = net_of(tmp_path, Terms(LONG))
    try:
        for number in range(2 * FAILURES):
            assert b"wrong spark.authenticate.secret" in guess(net, f"guess {number}")
        assert guess(net, LONG) == b""
    finally:
        net.close()


def test_who_knows_the_secret_may_have_mistyped_it_before(guarded: Net) -> None:
    for _ in range(2):
        for number in range(FAILURES - 1):
            assert guess(guarded, f"guess {number}")
        assert guess(guarded, "s3cr3t") == b""


def test_a_stranger_may_not_have_a_large_message_in_the_masters_memory(guarded: Net) -> None:
    with connect(guarded) as sock:
        sock.sendall((MAX_FIRST_FRAME + 1).to_bytes(8, "big"))
        assert sock.recv(1) == b""


def test_strangers_connections_are_limited(guarded: Net) -> None:
    """The oldest is closed, so whoever knows the secret gets in beside them."""
    hello = frame(Kind.RPC_REQUEST, Caller("x", "sasl", lambda: "nonce").first(), request=1)
    held = [connect(guarded) for _ in range(MOST_UNPROVEN)]
    try:
        for sock in held:
            sock.sendall(hello)
            assert answers(sock)
        assert guess(guarded, "s3cr3t") == b""
        wait_until(lambda: is_closed(held[0]), what="the oldest is closed")
        assert not any(is_closed(sock) for sock in held[1:])
        assert guess(guarded, "s3cr3t") == b""
    finally:
        for sock in held:
            sock.close()


def test_unfinished_messages_are_limited(tmp_path: Path) -> None:
    net = net_of(tmp_path, Terms())
    held = [connect(net) for _ in range((MOST_BYTES >> 20) + 4)]
    try:
        for sock in held:
            sock.sendall((1 << 20).to_bytes(8, "big") + bytes((1 << 20) - 100))
        wait_until(lambda: any(is_closed(sock) for sock in held), within=20, what="a closed connection")
        assert sum(is_closed(sock) for sock in held) <= 8
    finally:
        for sock in held:
            sock.close()
        net.close()


def is_closed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return not sock.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_without_a_secret_other_users_of_this_machine_are_rejected(tmp_path: Path) -> None:
    """The driver receives the reason, and stops; a program of the daemon's own user is let in."""
    net = net_of(tmp_path, Terms(own_user_only=True))
    registration = (FOLDER / "register-4.3.bin").read_bytes()
    try:
        with as_user(65534):
            foreign = connect(net)
        with foreign:
            foreign.sendall(registration)
            verified, removed = answers(foreign, 2)
        assert verified.kind is Kind.RPC_RESPONSE
        envelope = open_envelope(removed.body)
        assert envelope.endpoint == "AppClient"
        assert b"ApplicationRemoved" in envelope.payload and FOREIGN_USER.encode() in envelope.payload
        assert not net.server.drain()
        with connect(net) as own:
            own.sendall(registration)
            net.until(lambda: net.events, what="a registration of our own user")
    finally:
        net.close()


@contextlib.contextmanager
def as_user(uid: int) -> Iterator[None]:
    """Sockets and files that this thread makes belong to that user (setfsuid(2))."""
    libc = ctypes.CDLL(None)
    libc.setfsuid(uid)
    try:
        yield
    finally:
        libc.setfsuid(0)


# --- the master's own peers, beside an attack ------------------------------------------------------------------------

FLOOD = """
import contextlib, socket, sys, threading
from stoker.gateway.spark_rpc import Address, Envelope, Kind, frame, seal_envelope
from tests.attack import bombs
payload = getattr(bombs, sys.argv[2])()
message = frame(Kind.RPC_REQUEST, seal_envelope(Envelope(None, Address("m", 1), "Master", payload)), request=1)
def read(sock):
    with contextlib.suppress(OSError):
        while sock.recv(65536): pass
def flood():
    while True:
        try:
            with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
                threading.Thread(target=read, args=(sock,), daemon=True).start()
                while True:
                    sock.sendall(message)
        except OSError:
            pass
for _ in range(8):
    threading.Thread(target=flood).start()
print("flooding", flush=True)
"""


@pytest.mark.parametrize("bomb", ["one_text_many_times", "objects_of_a_deep_class", "small"])
def test_peers_do_not_notice_a_flood(tmp_path: Path, bomb: str) -> None:
    net = net_of(tmp_path, Terms())
    client = net.opened()
    before = round_trips(net, client)
    flood = subprocess.Popen(
        [sys.executable, "-c", FLOOD, str(net.server.port), bomb],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert flood.stdout is not None and flood.stdout.readline() == b"flooding\n"
        during = round_trips(net, client)
    finally:
        os.killpg(flood.pid, signal.SIGKILL)
        flood.wait()
        if flood.stdout is not None:
            flood.stdout.close()
        net.close()
    print(
        f"{bomb}: {statistics.median(before):.4f} s before, {statistics.median(during):.4f} s, at most {max(during):.4f} s"
    )
    assert statistics.median(during) < 0.02 + 3 * statistics.median(before)


def round_trips(net: Net, client: Any, count: int = 60) -> list[float]:
    found = []
    for number in range(count):
        net.events.clear()
        client.heard.clear()
        started = time.perf_counter()
        client.ask(GetStatus(request=number))
        net.until(lambda: any(event.peer == client.peer for event in net.of(Incoming)))
        assert net.server.send(client.peer, Submitted(request=number, driver_id="d"))
        net.until(lambda: client.heard)
        found.append(time.perf_counter() - started)
    return found


def test_a_caller_has_its_share_of_the_processor() -> None:
    now = [100.0]
    budget = Budget(lambda: now[0])
    budget.spend("a", BURST)
    assert budget.wait("a") == 0
    budget.spend("a", SHARE)
    assert budget.wait("a") == pytest.approx(1)
    assert budget.wait("b") == 0
    now[0] += 1
    assert budget.wait("a") == pytest.approx(0)
    now[0] += 1000
    budget.spend("a", BURST)
    assert budget.wait("a") == 0
