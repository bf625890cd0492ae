"""``make spark-matrix``: all releases of Spark that the gateway supports, on one master at the same time, and each pair of
them on one worker. Choose some with pytest's ``-k``: ``pytest tests/matrix/versions.py -k 4.1+4.2``.
"""

from __future__ import annotations

import re
import subprocess
from itertools import combinations
from pathlib import Path

import pytest

from stoker.core.model.states import DriverState, ExecutorState
from stoker.gateway.connection import CLOSED
from stoker.gateway.releases import RELEASES
from stoker.gateway.replies import Replies, boolean
from stoker.gateway.spark_rpc import Address
from tests.matrix.environments import home_of, python_with
from tests.support.cluster import Cluster
from tests.support.spark import SparkJob, executor_pids
from tests.support.wait import wait_until

VERSIONS = sorted(version for release in RELEASES for version in release.versions)
PAIRS = ["+".join(pair) for pair in combinations(VERSIONS, 2)]
pytestmark = pytest.mark.timeout(1800)


def run_at_once(folder: Path, versions: list[str]) -> None:
    """An application of each release, all at the same time on a worker that has all of these releases: each gets executors
    of its own release, and the right result."""
    pythons = {version: python_with(f"pyspark=={version}.*", name=version) for version in versions}
    homes = {version: home_of(python) for version, python in pythons.items()}
    properties = {
        "spark.stoker.gateway.enabled": "true",
        "spark.stoker.spark.home": ",".join(map(str, homes.values())),
    }
    with Cluster(folder, cores=8, memory="8g", properties=properties) as cluster:
        conf = {"spark.cores.max": "1"}
        jobs = {version: SparkJob(cluster, conf, python=python, wait=False) for version, python in pythons.items()}
        try:
            for job in jobs.values():
                job.app_id = job.answer(within=600)
                job.say("numbers")
            assert len(cluster.status()["active_apps"]) == len(jobs)
            for version, job in jobs.items():
                assert executors_home(cluster, job.app_id) == homes[version], version
                assert job.answer(within=600) == "45", version
                job.say("stop")
                assert job.wait() == 0, job.text()
                assert "ERROR" not in job.text(), job.text()
            print(", ".join(f"Spark {core_version(home)} has executors of its own release" for home in homes.values()))
        finally:
            for job in jobs.values():
                job.__exit__()


def executors_home(cluster: Cluster, app_id: str) -> Path:
    """The Spark whose classes its executors have."""
    pids = wait_until(lambda: executor_pids(cluster, app_id), within=300, what=f"an executor of {app_id}")
    command = cluster.processes()[min(pids.values())]
    found = re.search(r"[ :](/[^ :]*)/jars/\*", command)
    assert found is not None, command
    return Path(found[1])


def core_version(home: Path) -> str:
    return next((home / "jars").glob("spark-core_*.jar")).stem.rpartition("-")[2]


def test_all_at_once_on_one_master(tmp_path: Path) -> None:
    run_at_once(tmp_path, VERSIONS)


@pytest.mark.parametrize("pair", PAIRS)
def test_two_on_one_worker(tmp_path: Path, pair: str) -> None:
    run_at_once(tmp_path, pair.split("+"))


@pytest.mark.parametrize("conf", [{}, {"spark.authenticate": "true", "spark.authenticate.secret": "s3cr3t"}])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_master_without_gateway_says_so_at_once(tmp_path: Path, version: str, conf: dict[str, str]) -> None:
    python = python_with(f"pyspark=={version}.*", name=version)
    with Cluster(tmp_path, workers=0) as cluster:
        wait_until(lambda: "leading" in cluster.master.text())
        with SparkJob(cluster, conf, python=python, wait=False) as job:
            job.wait_for(f"Master removed our application: {CLOSED}")
            assert "Failed to connect" not in job.text().partition("Master removed")[0], "it was the first try"


@pytest.mark.parametrize("version", VERSIONS)
def test_java_reads_what_is_written(version: str) -> None:
    """Spark's own classes read the gateway's messages."""
    release = next(release for release in RELEASES if version in release.versions)
    replies = Replies(release, Address("h", 7077))
    expected = {
        boolean(True): "true",
        replies.application_removed("why"): "ApplicationRemoved(why)",
        replies.executor_added(1, "w", "h:1", 2, 3): "ExecutorAdded(1,w,h:1,2,3)",
        replies.driver_status_response(None, "", ""): "DriverStatusResponse(false,None,None,None,None)",
        replies.executor_updated(3, ExecutorState.LOST, "", None, ""): "ExecutorUpdated(3,LOST,None,None,None)",
    }
    for state in ExecutorState:
        written = replies.executor_updated(3, state, "why", 7, "host")
        expected[written] = f"ExecutorUpdated(3,{state.value},Some(why),Some(7),Some(host))"
    for driver_state in DriverState:
        written = replies.driver_status_response(driver_state, "w", "h:1")
        expected[written] = f"DriverStatusResponse(true,Some({driver_state.value}),Some(w),Some(h:1),None)"
    home = home_of(python_with(f"pyspark=={version}.*", name=version))
    source = Path(__file__).with_name("Read.java")
    done = subprocess.run(
        ["java", "-cp", f"{home}/jars/*", str(source)],
        input="\n".join(written.hex() for written in expected), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == list(expected.values())
