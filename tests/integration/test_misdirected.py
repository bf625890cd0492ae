"""Clients at a wrong port: each learns at once what it has reached, and the master's log has a line about it."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.gateway.connection import CLOSED
from stoker.gateway.guard import Caller
from stoker.gateway.java_stream import JavaObject, parse
from stoker.gateway.releases import RELEASES
from stoker.gateway.server import GatedServer
from stoker.gateway.spark_rpc import Frame, FrameReader, Kind, frame, open_envelope
from stoker.gateway.terms import Terms
from stoker.io import port as port_module
from stoker.io.server import MISDIRECTED
from tests.support.cluster import Cluster
from tests.support.net import Net
from tests.support.spark import VERSIONS, recorded
from tests.support.wait import wait_until


@pytest.mark.parametrize("authenticate", ["true", "false"])
def test_a_wrong_port_is_named(tmp_path: Path, authenticate: str) -> None:
    with Cluster(tmp_path, workers=0, properties={"spark.authenticate": authenticate}) as cluster:
        wait_until(lambda: "leading" in cluster.master.text())
        dashboard = cluster.webui_port
        asked = cluster.cli("status", "--master", f"spark://127.0.0.1:{dashboard}", "--timeout", "3")
        assert asked.returncode == 1
        assert (
            f"connected to 127.0.0.1:{dashboard}, but no Stoker master answers there: is it a dashboard's"
            in asked.stderr
        )

        with socket.create_connection(("127.0.0.1", cluster.port), timeout=10):
            pass  # a probe of the port sends nothing, and is not logged
        assert "stoker.gateway" not in cluster.master.text()
        assert b"Its dashboard has another port" in answer_to(cluster, b"GET / HTTP/1.1\r\n\r\n")
        assert answer_to(cluster, b"\x16\x03\x01") == b""
        assert answer_to(cluster, b"\0" * 21) == b""
        wait_until(lambda: cluster.master.text().count("WARNING stoker.gateway:") == 3, within=10)
        assert "from 127.0.0.1" in cluster.master.text()


def answer_to(cluster: Cluster, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=20) as sock:
        sock.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while more := sock.recv(4096):
                answer += more
        return answer


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Cluster]:
    with Cluster(folder, workers=0) as cluster:
        wait_until(lambda: "leading" in cluster.master.text())
        yield cluster


@pytest.mark.parametrize("version", VERSIONS)
def test_a_spark_client_of_a_master_without_gateway_learns_it_at_once(tmp_path: Path, version: str) -> None:
    """``ApplicationRemoved`` ends a SparkContext; ``tests/matrix/versions.py`` has real ones."""
    first, register = recorded(version)
    with serving(tmp_path) as cluster, socket.create_connection(("127.0.0.1", cluster.port), 20) as sock:
        sock.sendall(frame(first.kind, first.body, first.request) + frame(register.kind, register.body))
        reader = FrameReader()
        frames: list[Frame] = []
        while data := sock.recv(4096):  # until the master closes
            frames += reader.feed(data)
        assert [answer.kind for answer in frames] == [Kind.RPC_RESPONSE, Kind.ONE_WAY]
        removed = parse(open_envelope(frames[1].body).payload)
        assert isinstance(removed, JavaObject)
        assert removed.fields["message"] == CLOSED
        wait_until(lambda: f"rejected RegisterApplication: {CLOSED}" in cluster.master.text(), within=10)


def test_so_does_one_with_a_secret(tmp_path: Path) -> None:
    """Its release is unknown: it receives ``ApplicationRemoved`` as each release writes it."""
    with serving(tmp_path) as cluster, socket.create_connection(("127.0.0.1", cluster.port), 20) as sock:
        sock.sendall(frame(Kind.RPC_REQUEST, Caller("s3cr3t", "sasl", lambda: "n").first(), 1))
        reader, frames = FrameReader(), list[Frame]()
        while not frames or frames[-1].kind is not Kind.RPC_FAILURE:
            frames += reader.feed(sock.recv(4096))
        *removals, answer = frames
        assert answer.request == 1 and CLOSED.encode() in answer.body
        envelopes = [open_envelope(removal.body) for removal in removals]
        messages = [parse(envelope.payload) for envelope in envelopes]
        assert {envelope.endpoint for envelope in envelopes} == {"AppClient"}
        assert all(isinstance(message, JavaObject) and message.fields["message"] == CLOSED for message in messages)
        uids = {release.message("ApplicationRemoved") for release in RELEASES}
        assert {(m.name, m.cls.uid) for m in messages if isinstance(m, JavaObject)} == uids and len(messages) == len(
            uids
        )
        wait_until(lambda: CLOSED in cluster.master.text(), within=10)


@pytest.mark.parametrize("authenticate", [True, False])
def test_a_kernel_that_cannot_choose_names_it_too(
    tmp_path: Path, authenticate: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There libzmq has the port alone, and does not report addresses."""
    monkeypatch.setattr(port_module, "_SO_ATTACH_REUSEPORT_CBPF", 9999)
    make = functools.partial(GatedServer, terms=Terms(closed=True))
    net = Net(tmp_path, authenticate=authenticate, make=make)  # type: ignore[arg-type]
    try:
        net.opened()
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 21):
            before = caplog.text.count(MISDIRECTED)
            with socket.create_connection(("127.0.0.1", net.server.port), timeout=10) as sock:
                sock.sendall(data)
                net.until(lambda: caplog.text.count(MISDIRECTED) > before)  # noqa: B023 - it is called before the next round
    finally:
        net.close()
