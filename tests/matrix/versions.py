"""``make spark-matrix``: every release of Spark that the gateway speaks to, at the same time on one master.

Each gets a virtual environment of its own below ``build/spark-matrix`` (some 400 MB a version, from the package index).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.core.model.states import DriverState, ExecutorState
from stoker.gateway.releases import RELEASES
from stoker.gateway.replies import Replies, boolean
from stoker.gateway.spark_rpc import Address
from tests.support.cluster import Cluster
from tests.support.spark import SparkJob

FOLDER = Path(__file__).parents[2] / "build" / "spark-matrix"
VERSIONS = sorted(version for release in RELEASES for version in release.versions)
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def pythons() -> dict[str, Path]:
    """By version, the interpreter of an environment that has that ``pyspark``."""
    found = {}
    for version in VERSIONS:
        python = FOLDER / version / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", FOLDER / version], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"pyspark=={version}.*"], check=True)
        found[version] = python
    return found


def home_of(python: Path) -> Path:
    words = [str(python), "-c", "import pyspark; print(pyspark.__path__[0])"]
    return Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())


@pytest.fixture(scope="module")
def cluster(pythons: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    homes = ",".join(str(home_of(python)) for python in pythons.values())
    properties = {"spark.stoker.gateway.enabled": "true", "spark.stoker.spark.home": homes}
    with Cluster(tmp_path_factory.mktemp("matrix"), cores=8, memory="8g", properties=properties) as running:
        yield running


def test_all_at_once_on_one_master(cluster: Cluster, pythons: dict[str, Path]) -> None:
    conf = {"spark.cores.max": "1"}
    jobs = {version: SparkJob(cluster, conf, python=python, wait=False) for version, python in pythons.items()}
    try:
        for version, job in jobs.items():
            job.app_id = job.answer(within=600)
            job.say("numbers")
            print(version, job.app_id)
        assert len(cluster.status()["active_apps"]) == len(jobs)
        for version, job in jobs.items():
            assert job.answer(within=600) == "45", version
            job.say("stop")
            assert job.wait() == 0, job.text()
            assert "ERROR" not in job.text(), job.text()
    finally:
        for job in jobs.values():
            job.__exit__()


@pytest.mark.parametrize("version", VERSIONS)
def test_java_reads_what_is_written(version: str, pythons: dict[str, Path]) -> None:
    """Spark's own classes are the judge."""
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
    source = Path(__file__).with_name("Read.java")
    done = subprocess.run(
        ["java", "-cp", f"{home_of(pythons[version])}/jars/*", str(source)],
        input="\n".join(written.hex() for written in expected), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == list(expected.values())
