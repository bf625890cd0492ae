"""A real cluster with several masters on a real ZooKeeper, for fail-over tests."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster, Daemon, free_port
from tests.support.wait import wait_until


@dataclass
class HaCluster(Cluster):
    """``with HaCluster(tmp_path, zookeeper="h:p") as cluster``: ``masters`` masters, of which the first leads, and workers
    that know only the first master's address."""

    zookeeper: str = ""
    masters: int = 2
    session_timeout: str = "2s"

    def __post_init__(self) -> None:
        self.properties = {
            "spark.deploy.recoveryMode": "ZOOKEEPER",
            "spark.deploy.zookeeper.url": self.zookeeper,
            "spark.deploy.zookeeper.dir": f"/{self.home.name}",
            "spark.stoker.zookeeper.sessionTimeout": self.session_timeout,
            "spark.stoker.upload.directory": str(self.home / "uploads"),
            **self.properties,
        }
        super().__post_init__()
        self.master_ports = [self.port]
        self.webui_ports = [self.webui_port]
        self.all_masters = [self.master]
        for _ in range(1, self.masters):
            self.add_master()
        self.url = "spark://" + ",".join(f"127.0.0.1:{port}" for port in self.master_ports)

    def add_master(self) -> Daemon:
        """Add a master, not started yet. Peers that know the other masters do not learn its address from here."""
        port, webui_port = free_port(), free_port()
        words = ["master", "-h", "127.0.0.1", "-p", str(port), "--webui-port", str(webui_port)]
        self.master_ports.append(port)
        self.webui_ports.append(webui_port)
        self.all_masters.append(Daemon(words, self.environ, self.home / f"master-{len(self.all_masters) + 1}.log"))
        return self.all_masters[-1]

    def __enter__(self) -> HaCluster:
        try:
            self.master.start()
            self.wait_leads(0)
            for number in range(1, self.masters):
                self.all_masters[number].start()
                self.wait_stands_by(number)
            for worker in self.worker:
                worker.start()
            wait_until(lambda: self.registered_workers() == self.workers, what="all workers registered")
        except BaseException:
            self.show_logs()
            self.stop(check=False)
            raise
        return self

    def show_logs(self) -> None:
        super().show_logs()
        for daemon in self.all_masters[1:]:
            print(f"--- {daemon.log.name}\n{daemon.text()[-6000:]}")

    def wait_leads(self, number: int, times: int = 1, within: float = 30) -> None:
        """Wait until that master has been elected ``times`` times."""
        log = self.all_masters[number]
        wait_until(lambda: log.text().count("leading under epoch") >= times, within=within, what=f"{number} leads")

    def wait_stands_by(self, number: int, times: int = 1, within: float = 30) -> None:
        log = self.all_masters[number]
        wait_until(lambda: log.text().count("the leader is 127") >= times, within=within, what=f"{number} stands by")

    def wait_recovered(self, number: int, times: int = 1, within: float = 30) -> None:
        log = self.all_masters[number]
        wait_until(lambda: log.text().count("recovery is complete") >= times, within=within, what=f"{number} recovered")

    def wait_connected(self, number: int, peers: int) -> None:
        """Wait until ``peers`` peers are connected to that master."""

        def connected() -> bool:
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            port, established = f":{self.master_ports[number]:04X}", "01"
            return sum(row[1].endswith(port) and row[3] == established for row in rows) >= peers

        wait_until(connected, what=f"{peers} peers of master {number}")

    def epochs(self) -> list[int]:
        """Return the epochs of all leaders so far, in the order of their masters."""
        return [
            int(found) for log in self.all_masters for found in re.findall(r"leading under epoch (\d+)", log.text())
        ]

    def json(self, number: int) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.webui_ports[number]}/json/", timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def stop(self, *, check: bool = True) -> None:
        for daemon in self.all_masters[1:]:
            if daemon.process is not None and daemon.process.poll() is None:
                os.kill(daemon.pid, signal.SIGCONT)
        if self.master.process is not None and self.master.process.poll() is None:
            os.kill(self.master.pid, signal.SIGCONT)
        try:
            for daemon in self.worker:  # first, while a master is running that receives the workers' reports
                if daemon.process is not None and daemon.process.poll() is None:
                    daemon.process.send_signal(signal.SIGCONT)
                    daemon.process.send_signal(signal.SIGINT)
                    daemon.process.wait(25)
        finally:
            for daemon in self.all_masters[1:]:
                if daemon.process is not None and daemon.process.poll() is None:
                    daemon.kill(signal.SIGTERM)
            super().stop(check=check)
