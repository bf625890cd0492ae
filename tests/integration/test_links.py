"""Why a link to a master closes, and where a master listens; over real TCP."""

from __future__ import annotations

import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from stoker.core.model.messages import (
    Accepted,
    GetStatus,
)
from stoker.core.model.states import Role
from stoker.errors import ConfigError, UsageError
from stoker.io.sockets import Closed, Garbage, Server
from stoker.security.keys import Keys
from stoker.wire import codec
from tests.support.net import Net, raw_dealer

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
    assert newer.poll(5000)  # it is notified, in a version that differs
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
