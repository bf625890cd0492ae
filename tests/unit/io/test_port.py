"""Who connects to the master's port with a mark reaches its ROUTER, and everybody else the door."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from stoker.errors import ConfigError
from stoker.io import port as port_module
from stoker.io.port import open_port
from stoker.io.transport import MARK
from tests.support.net import has_ipv6
from tests.support.wait import wait_until

HOSTS = ["127.0.0.1", "0.0.0.0", *(["::1", "::"] if has_ipv6() else [])]


@pytest.fixture(params=HOSTS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    first, second = open_port(request.param, 0, 0)
    assert second is not None
    with first, second:
        yield first, second


def connect(listener: socket.socket, mark: int = 0) -> socket.socket:
    host, number = listener.getsockname()[:2]
    sock = socket.socket(listener.family)
    if listener.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, mark)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, mark)
    sock.settimeout(10)
    sock.connect((host, number))
    return sock


def accepted(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("mark", [0, 0x10, MARK, MARK | 1], ids=hex)
def test_the_mark_chooses_the_socket(pair: tuple[socket.socket, socket.socket], mark: int) -> None:
    own, other = pair if mark & 0xFC == MARK else pair[::-1]
    for _ in range(20):
        with connect(own, mark):
            wait_until(lambda: accepted(own), within=10)
            assert not accepted(other)


def test_ipv4_on_an_ipv6_socket() -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    first, second = open_port("::", 0, 0)
    assert second is not None
    with first, second, socket.socket() as marked:
        marked.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, MARK)
        marked.connect(("127.0.0.1", first.getsockname()[1]))
        wait_until(lambda: accepted(first), within=10)
        with socket.create_connection(("127.0.0.1", first.getsockname()[1])):
            wait_until(lambda: accepted(second), within=10)


def test_the_port_is_not_shared_with_another_master(pair: tuple[socket.socket, socket.socket]) -> None:
    host, number = pair[0].getsockname()[:2]
    with pytest.raises(ConfigError, match=f"port {number} at .* is taken"):
        open_port(host, number, 0)
    others = open_port(host, number, 16)
    assert others[0].getsockname()[1] != number
    for sock in others:
        assert sock is not None
        sock.close()


def test_a_kernel_without_filters_has_one_socket_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_module, "_SO_ATTACH_REUSEPORT_CBPF", 9999)
    first, second = open_port("127.0.0.1", 0, 0)
    assert second is None
    with first:
        for mark in (0, MARK):
            with connect(first, mark):
                wait_until(lambda: accepted(first), within=10)
