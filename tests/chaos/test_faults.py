"""Masters, workers and ZooKeeper servers are killed, stopped and frozen, one after the other, under a load of submissions.
Afterwards every acknowledged id is read back and every start counted: none lost, none run twice at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Daemon
from tests.support.ha import HaCluster
from tests.support.wait import wait_until
from tests.support.zookeeper import ZooKeeperServers, need_zookeeper

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
WITHIN = 90.0  # seconds: far more than anything here takes, so that a busy machine fails no test
PROPERTIES = {
    "spark.worker.timeout": "4s",
    "spark.stoker.worker.reconnectTimeout": "3s",
    "spark.deploy.recoveryTimeout": "6s",
    "spark.deploy.retainedDrivers": "100000",
}


class Load:
    """A submitter in its own process, and the ids that were acknowledged to it."""

    def __init__(self, cluster: HaCluster, ledger: Path, locks: Path, seed: int) -> None:
        self.acknowledged: list[str] = []
        environ = {**cluster.environ, "MASTER": cluster.url, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.submitter", str(ledger), str(locks), str(seed)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.acknowledged.append(line.strip())

    def goes_on(self) -> None:
        """Wait until further submissions are acknowledged."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) > before + 2, within=WITHIN, what="submissions go on")

    def stop(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(WITHIN)
        self._reader.join(WITHIN)
        self.process.stdout.close()


class Faults:
    def __init__(self, cluster: HaCluster, servers: ZooKeeperServers, load: Load, rng: random.Random) -> None:
        self.cluster, self.servers, self.load, self.rng = cluster, servers, load, rng

    def leader(self) -> int:
        """Return the number of the master that accepts submissions."""

        def found() -> list[int]:
            leaders = []
            for number in range(len(self.cluster.all_masters)):
                with contextlib.suppress(OSError):
                    if self.cluster.json(number)["status"] == "ALIVE":
                        leaders.append(number)
            return leaders

        return wait_until(found, within=WITHIN, what="a leader")[0]

    def leader_dies(self) -> None:
        self._leader_ends(signal.SIGKILL)

    def leader_is_stopped(self) -> None:
        self._leader_ends(signal.SIGTERM)

    def _leader_ends(self, number: int) -> None:
        old = self.leader()
        self.cluster.all_masters[old].kill(number)
        self.load.goes_on()
        self.cluster.all_masters[old].start()

    def leader_freezes(self) -> None:
        old = self.leader()
        with frozen(self.cluster.all_masters[old]):
            self.load.goes_on()

    def a_zookeeper_dies(self) -> None:
        victim = self.rng.randrange(3)
        self.servers.kill(victim)
        self.load.goes_on()
        self.servers.start(victim)

    def all_zookeepers_die(self) -> None:
        log = self.cluster.all_masters[self.leader()]
        noticed = log.text().count("this master does nothing until it does")
        self.servers.kill()
        wait_until(
            lambda: log.text().count("this master does nothing until it does") > noticed,
            within=WITHIN,
            what="the leader has noticed",
        )
        self.servers.start()

    def a_worker_dies(self) -> None:
        victim = self.rng.choice(self.cluster.worker)
        victim.kill()
        self.load.goes_on()
        victim.start()

    def a_worker_freezes(self) -> None:
        victim = self.rng.choice(self.cluster.worker)
        with frozen(victim):
            wait_until(
                lambda: any(worker["state"] == "DEAD" for worker in self.cluster.json(self.leader())["workers"]),
                within=WITHIN,
                what="it is missed",
            )
            self.load.goes_on()


@contextlib.contextmanager
def frozen(daemon: Daemon) -> Iterator[None]:
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def test_nothing_acknowledged_is_lost_and_nothing_runs_twice(tmp_path: Path) -> None:
    need_zookeeper()
    rng = random.Random(20)
    ledger, locks = tmp_path / "ledger", tmp_path / "locks"
    ledger.touch()
    locks.mkdir()
    with (
        ZooKeeperServers(tmp_path / "zk", 3) as servers,
        HaCluster(
            tmp_path / "cluster",
            zookeeper=servers.hosts,
            masters=3,
            workers=2,
            cores=8,
            session_timeout="4s",
            properties=PROPERTIES,
        ) as cluster,
    ):
        load = Load(cluster, ledger, locks, 20)
        faults = Faults(cluster, servers, load, rng)
        story: list[Callable[[], None]] = [
            faults.leader_dies,
            faults.leader_is_stopped,
            faults.leader_freezes,
            faults.a_zookeeper_dies,
            faults.all_zookeepers_die,
            faults.a_worker_dies,
            faults.a_worker_freezes,
        ]
        rng.shuffle(story)
        load.goes_on()
        for fault in story:
            print(fault.__name__, len(load.acknowledged))
            fault()
            load.goes_on()
        load.stop()
        faults.leader()
        check(cluster, load.acknowledged, ledger)


def check(cluster: HaCluster, acknowledged: list[str], ledger: Path) -> None:
    wait_until(lambda: not cluster.status()["active_drivers"], within=WITHIN, what="all drivers have ended")
    drivers = {driver["id"]: driver for driver in cluster.status()["completed_drivers"]}
    assert len(acknowledged) == len(set(acknowledged)) > 30
    assert [job for job in acknowledged if job not in drivers] == [], "an acknowledged driver is lost"
    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert [job for word, job, *_ in lines if word == "DOUBLE"] == []
    starts = Counter((job, attempt) for word, job, attempt in lines if word == "START")
    assert [start for start, times in starts.items() if times > 1] == [], "an attempt started twice"
    assert {job for job, _ in starts} <= set(drivers)
    for job, driver in drivers.items():
        ran = [attempt for started, attempt in starts if started == job]
        if driver["state"] == "FINISHED":
            assert ran, f"{job} is FINISHED and never ran"
        if driver["supervise"]:
            assert driver["state"] == "FINISHED", driver
        else:
            assert len(ran) <= 1, f"{job} is not supervised and ran {len(ran)} times"
    epochs = cluster.epochs()
    assert len(epochs) == len(set(epochs)) > 3
