"""Masters and ZooKeeper over TLS: a real server that speaks nothing else on that port, and asks for a certificate."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stoker.errors import ConfigError
from stoker.io.zookeeper import SessionState, ZooKeeper, ZooKeeperSettings, ZooKeeperTls
from tests.support.cluster import free_port
from tests.support.tls import make_certificate
from tests.support.zookeeper import ZooKeeperServers, need_zookeeper


@dataclass(frozen=True)
class Secure:
    hosts: str
    tls: ZooKeeperTls
    other: Path  # a folder with a certificate that the server does not know


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    need_zookeeper()
    folder, port = tmp_path_factory.mktemp("zookeeper-tls"), free_port()
    other = folder / "other"
    other.mkdir()
    make_certificate(folder)
    make_certificate(other)
    (folder / "both.pem").write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())

    def lines() -> list[str]:
        return [
            f"secureClientPort={port}",
            "secureClientPortAddress=127.0.0.1",
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
            f"ssl.keyStore.location={folder / 'both.pem'}",
            f"ssl.trustStore.location={folder / 'cert.pem'}",
            "ssl.hostnameVerification=false",
        ]

    with ZooKeeperServers(folder, more=lines):
        tls = ZooKeeperTls(ca=str(folder / "cert.pem"), chain=str(folder / "cert.pem"), key=str(folder / "key.pem"))
        yield Secure(f"127.0.0.1:{port}", tls, other)


def connects(hosts: str, tls: ZooKeeperTls | None, within: float) -> bool:
    states: queue.SimpleQueue[SessionState] = queue.SimpleQueue()
    zookeeper = ZooKeeper(ZooKeeperSettings(hosts=hosts, directory="/s", session_timeout=4.0, tls=tls), states.put)
    zookeeper.start()
    try:
        return states.get(timeout=within) is SessionState.CONNECTED
    except queue.Empty:
        return False
    finally:
        zookeeper.stop()


def test_a_master_with_a_certificate_connects(secure: Secure) -> None:
    assert connects(secure.hosts, secure.tls, within=30)


def test_nobody_else_does_nor_believes_another_server(secure: Secure) -> None:
    assert not connects(secure.hosts, None, within=1.5), "in the clear"
    others = [str(secure.other / name) for name in ("cert.pem", "key.pem")]
    stranger = ZooKeeperTls(ca=secure.tls.ca, chain=others[0], key=others[1])
    assert not connects(secure.hosts, stranger, within=1.5), "with a certificate that the server does not know"
    deceived = ZooKeeperTls(ca=others[0], chain=secure.tls.chain, key=secure.tls.key)
    assert not connects(secure.hosts, deceived, within=1.5), "a server of another authority"


def test_files_that_cannot_be_used_are_one_line(secure: Secure, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"spark.stoker.zookeeper.tls.*none.pem cannot be used: No such file"
    ) as caught:
        connects(secure.hosts, ZooKeeperTls(ca=str(tmp_path / "none.pem")), within=1)
    assert "\n" not in str(caught.value)
