"""Clients at a wrong port: each learns at once what it has reached, and the master's log has a line about it."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from stoker.io.server import MISDIRECTED
from tests.support.cluster import Cluster
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
        assert MISDIRECTED not in cluster.master.text()
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 21):
            with socket.create_connection(("127.0.0.1", cluster.port), timeout=10) as sock:
                sock.sendall(data)
                with contextlib.suppress(ConnectionResetError):
                    while sock.recv(4096):
                        pass
        wait_until(lambda: cluster.master.text().count(MISDIRECTED) == 2, within=10)
