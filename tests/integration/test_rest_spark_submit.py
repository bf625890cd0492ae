"""An unmodified spark-submit, and curl, against the REST interface of a real cluster."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import ME, Cluster, free_port
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster
JAVA = """public class Job { public static void main(String[] args) throws Exception {
    System.out.println("job " + String.join(",", args) + " " + System.getProperty("spark.app.name"));
    System.out.flush(); Thread.sleep(120000); } }"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    properties = {"spark.master.rest.port": str(free_port())}
    with Cluster(tmp_path_factory.mktemp("rest"), properties=properties, cores=4, memory="4g") as running:
        yield running


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("javac") is None:
        pytest.skip("needs a JDK: apt-get install openjdk-17-jdk-headless")
    folder = tmp_path_factory.mktemp("jar")
    (folder / "Job.java").write_text(JAVA)
    subprocess.run(["javac", "Job.java"], cwd=folder, check=True, timeout=100)
    subprocess.run(["jar", "cf", "job.jar", "Job.class"], cwd=folder, check=True, timeout=100)
    return str(folder / "job.jar")


def port_of(cluster: Cluster) -> int:
    return int(cluster.properties["spark.master.rest.port"])


def spark_submit(cluster: Cluster, *words: str) -> str:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        pytest.skip("needs pyspark: pip install pyspark")
    home = Path(spec.origin).parent
    done = subprocess.run(
        [str(home / "bin" / "spark-submit"), "--master", f"spark://127.0.0.1:{port_of(cluster)}",
         "--conf", "spark.master.rest.enabled=true", *words],
        env={**os.environ, "SPARK_HOME": str(home)}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def call(cluster: Cluster, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(cluster), timeout=30)
    text = None if body is None else json.dumps(body)
    connection.request(method, f"/v1/submissions/{path}", text, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_spark_submit_creates_follows_and_kills(cluster: Cluster, jar: str) -> None:
    said = spark_submit(cluster, "--deploy-mode", "cluster", "--class", "Job", "--name", "hi", jar, "a", "b c")
    found = re.search(r"Submission successfully created as (driver-\d{14}-\d{4})", said)
    assert found, said
    driver = found[1]
    assert re.search(rf"State of driver {driver} is now (SUBMITTED|RUNNING)", said)
    output = cluster.work / driver / "stdout"
    wait_until(lambda: output.exists() and output.read_text() == "job a,b c hi\n", within=30, what="the job's output")
    spark_submit(cluster, "--status", driver)
    assert call(cluster, "GET", f"status/{driver}")[1]["driverState"] == "RUNNING"
    assert f"{driver} is killed successfully" in spark_submit(cluster, "--kill", driver)
    wait_until(
        lambda: call(cluster, "GET", f"status/{driver}")[1]["driverState"] == "KILLED", within=30, what="its end"
    )


def test_python_as_http_clients_send_it(cluster: Cluster) -> None:
    script = cluster.script("job.py", "import sys; print('python', sys.argv[1:])\n")
    request = {
        "action": "CreateSubmissionRequest",
        "appArgs": [script, "10"],
        "appResource": "",
        "clientSparkVersion": "4.0.0",
        "environmentVariables": {},
        "mainClass": "org.apache.spark.deploy.SparkSubmit",
        "sparkProperties": {"spark.app.name": "pi", "spark.driver.memory": "512m"},
    }
    status, answer = call(cluster, "POST", "create", request)
    assert (status, answer["success"]) == (200, True), answer
    driver = answer["submissionId"]
    assert call(cluster, "GET", f"status/{driver}")[1]["success"], "it is known at once"
    cluster.wait_for(driver, "FINISHED")
    assert (cluster.work / driver / "stdout").read_text() == "python ['10']\n"
    assert f"action=submit target={driver} who={ME} role=admin" in (cluster.state / "audit.log").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")
def test_airflows_commands(cluster: Cluster, jar: str) -> None:
    """What SparkSubmitHook of its provider runs in cluster mode with a REST port: spark-submit, and curl for the status,
    whose lines it takes apart."""
    said = spark_submit(
        cluster, "--name", "arrow-spark", "--class", "Job", "--verbose", "--deploy-mode", "cluster", jar
    )
    found = re.search(r"driver-[0-9\-]+", said)
    assert found, said
    words = ["curl", "--max-time", "30", f"http://127.0.0.1:{port_of(cluster)}/v1/submissions/status/{found[0]}"]

    def state() -> str:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert "submissionId" in done.stdout
        [line] = [line for line in done.stdout.splitlines() if "driverState" in line]
        return line.split(" : ")[1].replace(",", "").replace('"', "").strip()

    wait_until(lambda: state() == "RUNNING", within=30, what="it runs")
    spark_submit(cluster, "--kill", found[0])  # as the hook does when the task is cleared
    wait_until(lambda: state() == "KILLED", within=30, what="its end")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")
def test_curl_as_sparks_pages_show_it(cluster: Cluster) -> None:
    """Spark's documented example of its REST interface, whose header has no charset and whose body curl may call a form;
    numbers and booleans are not quoted."""
    script = cluster.script("job.py", "import sys; print('python', sys.argv[1:])\n")
    body = json.dumps({
        "action": "CreateSubmissionRequest", "appArgs": [script, 10], "appResource": "", "clientSparkVersion": "4.3.0",
        "environmentVariables": {"A": 1}, "mainClass": "org.apache.spark.deploy.SparkSubmit",
        "sparkProperties": {"spark.app.name": "pi", "spark.driver.memory": "512m", "spark.driver.supervise": False},
    })  # fmt: skip
    url = f"http://127.0.0.1:{port_of(cluster)}/v1/submissions/create"
    done = subprocess.run(["curl", "-sS", "-XPOST", url, "--data", body], capture_output=True, text=True, check=True)
    assert '"success" : true' in done.stdout, done.stdout
    driver = json.loads(done.stdout)["submissionId"]
    cluster.wait_for(driver, "FINISHED")
    assert (cluster.work / driver / "stdout").read_text() == "python ['10']\n"


def test_clear_and_kill_all(cluster: Cluster) -> None:
    sleeper = cluster.submit(cluster.script("sleep.sh", "#!/bin/sh\nexec sleep 100\n"))
    cluster.wait_for(sleeper, "RUNNING")
    status, answer = call(cluster, "POST", "killall")
    assert (status, answer["success"]) == (200, True)
    cluster.wait_for(sleeper, "KILLED")
    assert call(cluster, "POST", "clear")[1]["success"]
    assert call(cluster, "GET", f"status/{sleeper}")[1]["success"] is False


def test_garbage_stops_nothing(cluster: Cluster) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(cluster), timeout=30)
    connection.putrequest("POST", "/v1/submissions/create")
    connection.putheader("Content-Length", "2000000")
    connection.endheaders()
    huge = connection.getresponse()
    assert (huge.status, json.loads(huge.read())["action"]) == (413, "ErrorResponse")
    connection.close()
    assert call(cluster, "POST", "create", {"action": "CreateSubmissionRequest"})[0] == 400
    assert call(cluster, "POST", "create", {}, Authorization="Bearer wrong")[0] == 401
    assert call(cluster, "GET", "readyz")[0] == 200
    assert "Traceback" not in cluster.master.text()
