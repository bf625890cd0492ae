"""Real ZooKeeper servers on loopback: one, or an ensemble of three. They can be killed, frozen and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import pytest
from kazoo.client import KazooClient

from stoker.io.zookeeper import ZooKeeperSettings
from stoker.leader.base import Candidate, Elected, LeadershipEvent
from stoker.leader.zookeeper import ZooKeeperLeadership
from stoker.recovery.zookeeper import ZooKeeperRecovery
from tests.support.cluster import free_port
from tests.support.wait import wait_until

JAR = Path("/usr/share/java/zookeeper.jar")
# What Debian's package leaves out of the jar's class path, for the server with TLS.
NETTY = [JAR.with_name(f"netty-{part}.jar") for part in ("all", "codec", "resolver", "transport-native-unix-common")]
HOSTS = "STOKER_TEST_ZOOKEEPER"  # processes that tests start find the servers here
SESSION_TIMEOUT = 2.0  # seconds
TICK_MS = 250  # so that sessions may time out after half a second
_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"


def need_zookeeper() -> None:
    """Skip the test if ZooKeeper is not installed."""
    if shutil.which("java") is None or not JAR.exists():
        pytest.skip("needs ZooKeeper: apt-get install openjdk-17-jre-headless libzookeeper-java")


@dataclass(frozen=True)
class Member:
    number: int
    port: int
    peer_port: int
    election_port: int


class ZooKeeperServers:
    """``with ZooKeeperServers(folder, 3) as servers``: all are up and serve. Members are numbered from 0."""

    def __init__(self, folder: Path, members: int = 1, more: Callable[[], list[str]] = list) -> None:
        """``more`` returns further lines of the configuration."""
        self._folder = folder
        self._more = more
        self._members = [
            Member(number=n, port=free_port(), peer_port=free_port(), election_port=free_port()) for n in range(members)
        ]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{member.port}" for member in self._members)

    def __enter__(self) -> ZooKeeperServers:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, *numbers: int) -> None:
        """Start these members, or all that do not run; return when all running ones serve."""
        for member in self._members:
            if member.number in (numbers or range(len(self._members))) and member.number not in self._processes:
                self._processes[member.number] = self._start(member)
        if len(self._processes) > len(self._members) // 2:
            for number in self._processes:
                self._wait_for(number)

    def signal(self, number: int, *members: int) -> None:
        """Send a signal to these members, or to all."""
        for member in members or list(self._processes):
            self._processes[member].send_signal(number)

    def kill(self, *members: int) -> None:
        for member in members or list(self._processes):
            process = self._processes.pop(member)
            process.kill()
            process.wait(20)

    def leader(self) -> int:
        """Return the member that leads the ensemble."""

        def found() -> list[int]:
            return [number for number in self._processes if "Mode: leader" in self._ask(number, b"srvr")]

        return wait_until(found, what="a ZooKeeper leader")[0]

    def client(self) -> KazooClient:
        """Return a connected client; the caller stops it."""
        client = KazooClient(hosts=self.hosts, timeout=5)
        client.start(timeout=20)
        return client

    def _start(self, member: Member) -> subprocess.Popen[bytes]:
        folder = self._folder / f"zookeeper-{member.number}"
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / "myid").write_text(str(member.number + 1))
        lines = [
            f"tickTime={TICK_MS}",
            f"dataDir={data}",
            f"clientPort={member.port}",
            "clientPortAddress=127.0.0.1",
            "admin.enableServer=false",
            "maxClientCnxns=0",
            "maxSessionTimeout=60000",
            "4lw.commands.whitelist=srvr",
            "initLimit=20",
            "syncLimit=10",
            *self._more(),
        ]
        if len(self._members) > 1:
            lines += [
                f"server.{other.number + 1}=127.0.0.1:{other.peer_port}:{other.election_port}"
                for other in self._members
            ]
        configuration = folder / "zoo.cfg"
        configuration.write_text("\n".join(lines) + "\n")
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    "java",
                    "-Xmx128m",
                    "-XX:+UseSerialGC",
                    "-cp",
                    ":".join(map(str, [JAR, *NETTY])),
                    _MAIN,
                    str(configuration),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait_for(self, number: int) -> None:
        def serves() -> bool:
            assert self._processes[number].poll() is None, (self._folder / f"zookeeper-{number}" / "log").read_text()
            return "Mode: " in self._ask(number, b"srvr")

        wait_until(serves, within=60, what=f"ZooKeeper {number} serves")

    def _ask(self, number: int, word: bytes) -> str:
        answer = b""
        address = ("127.0.0.1", self._members[number].port)
        with contextlib.suppress(OSError), socket.create_connection(address, 2) as connection:
            connection.sendall(word)
            while data := connection.recv(4096):
                answer += data
        return answer.decode()


# --- an election and the records of its leader, in this process --------------------------------------------------------


class Stand:
    """One candidate, and every event that it received. Candidates that a test has left open are closed after it."""

    open: ClassVar[set[Stand]] = set()

    def __init__(
        self,
        hosts: str,
        directory: str,
        address: str = "127.0.0.1:1",
        *,
        auth: str = "",
        webui_url: str = "",
        session_timeout: float = SESSION_TIMEOUT,
    ) -> None:
        self.events: list[LeadershipEvent] = []
        self.address = address
        settings = ZooKeeperSettings(hosts=hosts, directory=directory, session_timeout=session_timeout, auth=auth)
        self.leadership = ZooKeeperLeadership(settings, Candidate(address, webui_url))
        self.leadership.start(self.events.append)
        self.open.add(self)

    @property
    def epoch(self) -> int:
        return next((event.epoch for event in self.events if isinstance(event, Elected)), 0)

    def wait_for(self, condition: Callable[[LeadershipEvent], object], what: str = "", within: float = 20) -> None:
        wait_until(
            lambda: any(condition(event) for event in list(self.events)), within=within, what=f"{what}: {self.events}"
        )

    def wait_elected(self, within: float = 20) -> Stand:
        wait_until(lambda: self.epoch, within=within, what=lambda: f"{self.address} elected: {self.events}")
        return self

    def open_records(self) -> ZooKeeperRecovery:
        return ZooKeeperRecovery(self.leadership.zookeeper, self.leadership.fence)

    def close(self) -> None:
        self.open.discard(self)
        self.leadership.release()


class LeadersRecords(ZooKeeperRecovery):
    """The records of a store at ``location``, opened by its own leader, which stands down when they are closed. The
    servers are those of $STOKER_TEST_ZOOKEEPER."""

    def __init__(self, location: Path) -> None:
        self._stand = Stand(os.environ[HOSTS], "/" + "-".join(location.parts[1:])).wait_elected()
        try:
            super().__init__(self._stand.leadership.zookeeper, self._stand.leadership.fence)
        except BaseException:
            self._stand.close()
            raise

    def close(self) -> None:
        super().close()
        self._stand.close()
