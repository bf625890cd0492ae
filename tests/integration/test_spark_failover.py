"""Real pyspark on two masters and a real ZooKeeper: the leader is killed, and the application goes on under its id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ha import HaCluster
from tests.support.spark import NEEDS_SPARK, SparkJob, executor_pids
from tests.support.wait import wait_until
from tests.support.zookeeper import ZooKeeperServers

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    NEEDS_SPARK,
]


@pytest.fixture
def cluster(zookeeper: ZooKeeperServers, tmp_path: Path) -> Iterator[HaCluster]:
    properties = {"spark.stoker.gateway.enabled": "true", "spark.stoker.spark.classDataSharing": "false"}
    with HaCluster(tmp_path, zookeeper=zookeeper.hosts, cores=2, properties=properties) as running:
        yield running


def test_an_application_goes_on_under_its_id(cluster: HaCluster) -> None:
    """The driver registers with both masters, as Spark's does; the standby must not take that for a second application."""
    with SparkJob(cluster, {"spark.cores.max": "1"}) as job:
        job.say("numbers")
        assert job.answer() == "45"
        before = executor_pids(cluster, job.app_id)
        cluster.all_masters[0].kill()
        cluster.wait_recovered(1, within=20)
        wait_until(
            lambda: [app["state"] for app in cluster.json(1)["activeapps"]] == ["RUNNING"], within=20, what="it runs"
        )
        job.say("numbers")
        assert job.answer() == "45"
        found = cluster.json(1)
        assert [app["id"] for app in found["activeapps"] + found["completedapps"]] == [job.app_id]
        assert executor_pids(cluster, job.app_id) == before
        job.say("stop")
        assert job.wait() == 0, job.text()
    wait_until(lambda: [app["state"] for app in cluster.json(1)["completedapps"]] == ["FINISHED"], what="its end")
    assert "refused" not in cluster.all_masters[1].text()
