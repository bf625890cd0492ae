"""``make spark-matrix``: Airflow's own provider for Spark submits jobs to a master's REST interface, follows and kills them.

Airflow has an environment of its own below ``build/spark-matrix`` (250 MB, from the package index).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.matrix.environments import home_of, python_with
from tests.support.cluster import Cluster, free_port
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        shutil.which("javac") is None or shutil.which("curl") is None,
        reason="needs a Java compiler and curl: apt-get install default-jdk-headless curl",
    ),
]
# Ends with the code that its first argument says, after the seconds of its second.
JAVA = """public class Job { public static void main(String[] args) throws Exception {
    System.out.println("job " + args[0] + " " + System.getProperty("spark.app.name"));
    System.out.flush(); Thread.sleep(1000 * Long.parseLong(args[1])); System.exit(Integer.parseInt(args[0])); } }"""
# A task as Airflow runs it, and what its supervisor does when the task is cleared.
TASK = """
import signal, sys
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
task = SparkSubmitOperator(
    task_id="spark", application=sys.argv[1], java_class="Job", application_args=sys.argv[2:], name="of airflow",
    conf={"spark.master.rest.enabled": "true"}, driver_memory="512m", status_poll_interval=1, verbose=True,
)
def clear(*_):
    task.on_kill()
    sys.exit("cleared")
signal.signal(signal.SIGTERM, clear)
task.execute({})
print("the task succeeded")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    properties = {"spark.master.rest.port": str(free_port())}
    with Cluster(tmp_path_factory.mktemp("airflow"), properties=properties) as running:
        yield running


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("jar")
    (folder / "Job.java").write_text(JAVA)
    subprocess.run(["javac", "Job.java"], cwd=folder, check=True)
    subprocess.run(["jar", "cf", "job.jar", "Job.class"], cwd=folder, check=True)
    return str(folder / "job.jar")


class Task:
    """An Airflow task with these arguments of the jar; ``with`` ends it. Its spark-submit is that of the tests' pyspark."""

    def __init__(self, cluster: Cluster, jar: str, *words: str) -> None:
        airflow = python_with("apache-airflow", "apache-airflow-providers-apache-spark", name="airflow")
        port = int(cluster.properties["spark.master.rest.port"])
        extra = {"deploy-mode": "cluster", "rest-port": port}
        connection = {"conn_type": "spark", "host": "spark://127.0.0.1", "port": port, "extra": extra}
        environ = {
            **{name: os.environ[name] for name in ("LANG", "JAVA_HOME") if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(cluster.home),
            "SPARK_HOME": str(home_of(Path(sys.executable))),
            "AIRFLOW_HOME": str(cluster.home / "airflow"),
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(connection),
        }
        self._out = cluster.home / f"task-{'-'.join(words)}"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen([airflow, "-c", TASK, jar, *words], env=environ, stdout=out, stderr=out)

    def __enter__(self) -> Task:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(30)

    def text(self) -> str:
        return self._out.read_text(errors="replace")


@pytest.mark.parametrize(("code", "state"), [(0, "FINISHED"), (3, "FAILED")])
def test_a_task_follows_its_driver_to_the_end(cluster: Cluster, jar: str, code: int, state: str) -> None:
    with Task(cluster, jar, str(code), "3") as task:
        is_success = task.process.wait(300) == 0
    driver = cluster.status()["completed_drivers"][-1]
    assert driver["state"] == state, task.text()
    assert (cluster.work / driver["id"] / "stdout").read_text() == f"job {code} of airflow\n"
    assert is_success == (code == 0) == ("the task succeeded" in task.text()), task.text()
    assert is_success or f"Driver {driver['id']} exited with status FAILED" in task.text(), task.text()


def test_a_task_that_is_cleared_kills_its_driver(cluster: Cluster, jar: str) -> None:
    with Task(cluster, jar, "0", "600") as task:
        found = wait_until(
            lambda: re.search(r"Polling driver (driver-\S+)", task.text()),
            within=300,
            what="the task follows its driver",
        )
        cluster.wait_for(found[1], "RUNNING")
        task.process.terminate()
        task.process.wait(300)
    cluster.wait_for(found[1], "KILLED")
    assert "killed with return code: 0" in task.text(), task.text()
