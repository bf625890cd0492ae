"""A real, long pyspark application through one fail-over after another: the leader is killed, stopped, frozen and cut off
from ZooKeeper, and computes before, during and after. It ends as one application, FINISHED, with right results."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.ha import HaCluster
from tests.support.proxy import Proxy
from tests.support.spark import NEEDS_SPARK, SparkJob, executor_pids
from tests.support.wait import wait_until
from tests.support.zookeeper import ZooKeeperServers

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    NEEDS_SPARK,
]
WITHIN = 60.0  # seconds: far more than anything here takes, so that a busy machine fails no test
PROPERTIES = {
    "spark.stoker.gateway.enabled": "true",
    "spark.stoker.spark.classDataSharing": "false",
    "spark.worker.timeout": "4s",
    "spark.deploy.recoveryTimeout": "20s",
}


class Computing:
    """Asks the driver for one job after another."""

    def __init__(self, job: SparkJob) -> None:
        self._job = job
        self._is_enough = threading.Event()
        self.answers: list[str] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._is_enough.is_set():
            self._job.say("numbers")
            self.answers.append(self._job.answer(within=WITHIN))

    def goes_on(self) -> None:
        """Wait for two more answers: the second job began after this call."""
        before = len(self.answers)
        wait_until(
            lambda: len(self.answers) >= before + 2 or not self._thread.is_alive(),
            within=WITHIN,
            what="further results",
        )
        assert self._thread.is_alive(), self._job.text()[-6000:]

    def stop(self) -> None:
        self._is_enough.set()
        self._thread.join(WITHIN)


class Faults:
    """Each method returns with another leader, and both masters running."""

    def __init__(self, cluster: HaCluster, proxies: list[Proxy], computing: Computing) -> None:
        self._cluster, self._proxies, self._computing = cluster, proxies, computing
        self.leader = 0
        self._stands_by_after = 0  # how often the old leader had stood by before the last fault

    def it_is_killed(self) -> None:
        self._it_ends(signal.SIGKILL)

    def it_is_stopped(self) -> None:
        self._it_ends(signal.SIGTERM)

    def _it_ends(self, number: int) -> None:
        daemon = self._cluster.all_masters[self.leader]
        self._other_leads_after(lambda: daemon.kill(number))
        daemon.start()

    def it_freezes(self) -> None:
        daemon = self._cluster.all_masters[self.leader]
        self._other_leads_after(lambda: os.kill(daemon.pid, signal.SIGSTOP))
        os.kill(daemon.pid, signal.SIGCONT)

    def it_is_cut_off(self) -> None:
        proxy = self._proxies[self.leader]
        self._other_leads_after(proxy.cut)
        proxy.heal()

    def _other_leads_after(self, fault: Callable[[], object]) -> None:
        old, new = self.leader, 1 - self.leader
        times = self._cluster.all_masters[new].text().count("recovery is complete")
        stood_by = self._cluster.all_masters[old].text().count("the leader is 127")
        fault()
        self._cluster.wait_recovered(new, times + 1, within=WITHIN)
        self._computing.goes_on()
        self.leader = new
        self._stands_by_after = stood_by

    def wait_for_standby(self) -> None:
        self._cluster.wait_stands_by(1 - self.leader, self._stands_by_after + 1, within=WITHIN)


def test_one_application_from_the_first_leader_to_the_last(zookeeper: ZooKeeperServers, tmp_path: Path) -> None:
    rng = random.Random(11)
    with Proxy(zookeeper.hosts) as first, Proxy(zookeeper.hosts) as second:
        proxies = [first, second]
        cluster = HaCluster(tmp_path, zookeeper=first.address, cores=2, properties=PROPERTIES)
        cluster.all_masters[1].env = with_zookeeper(cluster, second)
        with cluster, SparkJob(cluster, {"spark.cores.max": "1"}) as job:
            computing = Computing(job)
            computing.goes_on()
            executors = executor_pids(cluster, job.app_id)
            faults = Faults(cluster, proxies, computing)
            story = [faults.it_is_killed, faults.it_is_stopped, faults.it_freezes, faults.it_is_cut_off]
            rng.shuffle(story)
            for fault in (*story, faults.it_is_killed):
                print(fault.__name__, len(computing.answers))
                fault()
                faults.wait_for_standby()
                check_it_runs(cluster, faults.leader, job.app_id)
            computing.stop()
            assert executor_pids(cluster, job.app_id) == executors
            assert set(computing.answers) == {"45"} and len(computing.answers) > 10
            job.say("stop")
            assert job.wait() == 0, job.text()
            wait_until(lambda: cluster.json(faults.leader)["completedapps"], within=WITHIN, what="its end")
            found = cluster.json(faults.leader)
            apps = [(app["id"], app["state"]) for app in found["activeapps"] + found["completedapps"]]
            assert apps == [(job.app_id, "FINISHED")]
            epochs = cluster.epochs()
            assert len(epochs) == len(set(epochs)) == 6


def with_zookeeper(cluster: HaCluster, proxy: Proxy) -> dict[str, str]:
    """Return the second master's environment: it reaches ZooKeeper through the proxy."""
    conf = cluster.home / "conf-2"
    shutil.copytree(cluster.home / "conf", conf)
    defaults = conf / "spark-defaults.conf"
    lines = [line for line in defaults.read_text().splitlines() if "zookeeper.url" not in line]
    defaults.write_text("\n".join([*lines, f"spark.deploy.zookeeper.url {proxy.address}"]) + "\n")
    return {**cluster.environ, "SPARK_CONF_DIR": str(conf), "STOKER_KEYS_DIR": str(cluster.home / "conf" / "keys")}


def check_it_runs(cluster: HaCluster, leader: int, app_id: str) -> None:
    found = cluster.json(leader)
    assert [(app["id"], app["state"]) for app in found["activeapps"]] == [(app_id, "RUNNING")]
    assert found["completedapps"] == []
