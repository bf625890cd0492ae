"""The master is killed at every boundary between its effects: nothing acknowledged is lost, nothing runs twice."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Daemon
from tests.support.wait import wait_until
from tests.support.zookeeper import ZooKeeperServers

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
JOB = '#!/bin/sh\necho "$STOKER_DRIVER_ID" >> "$1"\n'


class CrashingMaster(Daemon):
    """The same master, which dies at its ``boundary``-th boundary."""

    boundary = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.crashing_master", str(self.boundary), *self.words]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


def test_filesystem(tmp_path: Path) -> None:
    properties = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(tmp_path / "r")}
    assert crash_everywhere(tmp_path, properties, step=1) > 10


def test_zookeeper(zookeeper: ZooKeeperServers, tmp_path: Path) -> None:
    properties = {
        "spark.deploy.recoveryMode": "ZOOKEEPER",
        "spark.deploy.zookeeper.url": zookeeper.hosts,
        "spark.deploy.zookeeper.dir": f"/{tmp_path.name}",
        "spark.stoker.zookeeper.sessionTimeout": "2s",
    }
    assert crash_everywhere(tmp_path, properties, step=4) > 10


def crash_everywhere(home: Path, properties: dict[str, str], *, step: int) -> int:
    """Returns how many boundaries a submission has, from the start of a master to the driver's end."""
    ledger = home / "ledger"
    submitted = []
    with Cluster(home, cores=1, properties=properties) as cluster:
        script = cluster.script("job", JOB)
        crashing = CrashingMaster(cluster.master.words, cluster.environ, home / "crashing.log")
        cluster.master.kill()
        for boundary in itertools.count(1, step):
            crashing.boundary = boundary
            crashing.start()
            submit = cluster.start_cli("submit", "--wait", "--timeout", "60", script, str(ledger))
            assert crashing.process is not None
            victim = crashing.process
            wait_until(lambda s=submit, v=victim: s.poll() is not None or v.poll() is not None, within=60)  # type: ignore[misc]
            crashed = victim.poll() is not None
            if crashed:
                cluster.master.start()
            _, said = submit.communicate(timeout=90)
            assert submit.returncode == 0, (boundary, said)
            submitted += re.findall(r"submitted (driver-\d+-\d+)", said)
            (cluster.master if crashed else crashing).kill()
            if not crashed:
                break
        cluster.master.start()
        ran = ledger.read_text().split()
        assert sorted(ran) == sorted(submitted), "each ran once, and only what was acknowledged"
        states = {driver["id"]: driver["state"] for driver in cluster.status()["completed_drivers"]}
        assert states == dict.fromkeys(submitted, "FINISHED")
    return boundary
