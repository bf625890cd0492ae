"""A submitter must not read the environment of a daemon: the master's may hold the secrets of ZooKeeper, Spark or a cloud."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import Cluster, free_port

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("environment")
    env = {"CLOUD_SECRET": "s3cr3t", "SPARK_MASTER_OPTS": "-Dspark.x=s3cr3t", "REGION": "not exported"}
    cluster = Cluster(folder, properties={"spark.master.rest.port": str(free_port())}, env=env)
    (folder / "conf" / "spark-env").write_text("export SITE=north\nSPARK_DAEMON_JAVA_OPTS=-Dspark.x=s3cr3t\n")
    with cluster:
        yield cluster


def environment_of(cluster: Cluster, **asked: str) -> dict[str, Any]:
    """Submit over REST; return what the driver found in its environment."""
    seen = cluster.home / "seen.json"
    program = f"""
import json, os
with open({str(seen)!r}, "w") as file:
    json.dump({{name: os.environ.get(name) for name in {sorted(asked)}}}, file)
"""
    body = {
        "action": "CreateSubmissionRequest", "clientSparkVersion": "4.1.0", "appResource": "",
        "mainClass": "org.apache.spark.deploy.SparkSubmit", "appArgs": [cluster.script("look.py", program)],
        "environmentVariables": asked, "sparkProperties": {"spark.app.name": "{{CLOUD_SECRET}}"},
    }  # fmt: skip
    url = f"http://127.0.0.1:{cluster.properties['spark.master.rest.port']}/v1/submissions/create"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        job = json.load(response)["submissionId"]
    found = cluster.wait_for(job, "FINISHED")
    assert found["name"] == "{{CLOUD_SECRET}}"
    result: dict[str, Any] = json.loads(seen.read_text())
    return result


def test_a_submission_reads_only_what_spark_env_exports(cluster: Cluster) -> None:
    names = ("CLOUD_SECRET", "REGION", "HOME", "SPARK_MASTER_OPTS", "SPARK_DAEMON_JAVA_OPTS", "SITE")
    asked = {f"X_{name}": "{{" + name + "}}" for name in names}
    assert environment_of(cluster, **asked) == {**asked, "X_SITE": "north"}
