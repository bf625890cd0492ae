"""The unix user of a connection, as the kernel reports it for real connections."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
from pathlib import Path

import pytest

from stoker.io.peer_user import is_own_or_root, peer_user
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile
from stoker.web.access.policy import Access
from stoker.web.master import make_app
from stoker.web.serve import LazyWebServer
from tests.support.web import Control, cluster_view

NOBODY = 65534
ASK = "exec 3<>/dev/tcp/127.0.0.1/$0; printf 'GET /json/ HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' >&3; head -n 1 <&3"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_our_own(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as client:
            connection, _ = listener.accept()
            with connection:
                assert peer_user(connection) == os.geteuid()
                client.shutdown(socket.SHUT_WR)
                assert peer_user(connection) == os.geteuid()


def test_what_nobody_holds_any_more_is_not_roots() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        client.close()
        with connection:
            assert peer_user(connection) is None


def test_who_is_trusted() -> None:
    assert is_own_or_root(0)
    assert is_own_or_root(os.geteuid())
    assert not is_own_or_root(NOBODY)
    assert not is_own_or_root(None)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else for a moment")
def test_another_user_of_this_machine_is_a_stranger(tmp_path: Path) -> None:
    access = Access(
        anonymous=AccessRole.NONE, trust_local_user=True, tokens=TokenFile(tmp_path), known_as=("127.0.0.1",)
    )
    server = LazyWebServer("127.0.0.1", 0, lambda: make_app(cluster_view, Control(), access=access))
    server.start()
    try:
        words = ["bash", "-c", ASK, str(server.port)]
        mine = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        other = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, user=NOBODY)
        assert [mine.stdout.split()[1], other.stdout.split()[1]] == ["200", "401"]
    finally:
        server.close()


def test_the_answer_is_for_the_whole_connection() -> None:
    access = Access(anonymous=AccessRole.NONE, trust_local_user=True)
    server = LazyWebServer("127.0.0.1", 0, lambda: make_app(cluster_view, Control(), access=access))
    server.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        for _ in range(3):
            connection.request("GET", "/json/")
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        connection.close()
    finally:
        server.close()


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Real-IP", "Via"])
def test_a_proxy_of_ours_lends_nobody_our_rights(header: str) -> None:
    access = Access(anonymous=AccessRole.NONE, trust_local_user=True)
    server = LazyWebServer("127.0.0.1", 0, lambda: make_app(cluster_view, Control(), access=access))
    server.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/json/", headers={header: "203.0.113.7"})
        assert connection.getresponse().status == 401
        connection.close()
    finally:
        server.close()
