"""Unmodified pyspark on our master and worker: real JVMs, one cluster for all tests of this file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.gateway.guard import Caller
from stoker.gateway.spark_rpc import Frame, FrameReader, Kind, frame
from tests.support.cluster import Cluster, free_port
from tests.support.net import has_ipv6
from tests.support.spark import NEEDS_SPARK, SparkJob, executor_pids, spark_environment
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
SECRET = "s3cr3t"
LET_IN = {"spark.authenticate": "true", "spark.authenticate.secret": SECRET}
ENCRYPTED = {**LET_IN, "spark.network.crypto.enabled": "true", "spark.network.crypto.authEngineVersion": "2"}

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    NEEDS_SPARK,
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("gateway")
    properties = {
        "spark.stoker.gateway.enabled": "true",
        "spark.authenticate.secret": SECRET,
        "spark.master.rest.port": str(free_port()),
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(home / "recovery"),
        "spark.deploy.maxExecutorRetries": "4",  # tests kill two in a row
        "spark.stoker.executor.maxBackoff": "100ms",
        "spark.worker.resourcesFile": str(home / "gpus.json"),
    }
    gpus = {"id": {"componentName": "spark.worker", "resourceName": "gpu"}, "addresses": ["9", "7"]}
    (home / "gpus.json").write_text(json.dumps([gpus]))
    with Cluster(home, cores=3, memory="3g", properties=properties) as running:
        yield running


def test_a_program_runs_to_its_result(cluster: Cluster) -> None:
    """Authenticated by SASL; two executors of one core, with their output in the usual place."""
    with SparkJob(cluster, {**LET_IN, "spark.executor.cores": "1", "spark.cores.max": "2"}) as job:
        app = cluster.status(job.app_id)
        assert (app["name"], app["cores_max"], app["cores_per_executor"], app["memory_mib"]) == ("job", 2, 1, 512)
        job.say("numbers")
        assert job.answer() == "45"
        assert sum(executor["cores"] for executor in cluster.status(job.app_id)["executors"]) == 2
        job.say("stop")
        assert job.wait() == 0, job.text()
    cluster.wait_for(job.app_id, "FINISHED", within=5)
    assert "could not find AppClient" not in job.text().lower()
    logged = cluster.cli("logs", "--stderr", f"{job.app_id}/0")
    assert "Spark Executor Command" in logged.stdout and "CoarseGrainedExecutorBackend" in logged.stdout
    assert SECRET not in logged.stdout


def test_the_example_by_spark_submit(cluster: Cluster) -> None:
    environment = spark_environment(cluster)
    conf = {**LET_IN, "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.executor.memory": "512m"}
    options = [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
    words = [
        f"{environment['SPARK_HOME']}/bin/spark-submit",
        "--master",
        f"spark://127.0.0.1:{free_port()},{cluster.url[8:]}",
    ]
    words += ["--total-executor-cores", "1", *options, str(ROOT / "examples" / "spark-pi" / "pi.py"), "2"]
    done = subprocess.run(
        words, check=False, env=environment, capture_output=True, text=True, timeout=600, cwd=cluster.home
    )
    assert "Pi is roughly 3.1" in done.stdout, done.stderr[-4000:]
    app = cluster.status()["completed_apps"][-1]
    assert (app["name"], app["state"], app["cores_max"]) == ("pi", "FINISHED", 1)


@pytest.mark.parametrize("cipher", ["AES/CTR/NoPadding", "AES/GCM/NoPadding"])
def test_lost_executors_and_a_lost_master(cluster: Cluster, cipher: str) -> None:
    """Encrypted connections; an executor is killed and replaced, the master is killed and its successor calls back."""
    with SparkJob(cluster, {**ENCRYPTED, "spark.network.crypto.cipher": cipher, "spark.cores.max": "1"}) as job:
        first = wait_until(lambda: executor_pids(cluster, job.app_id), within=300, what="an executor")
        os.kill(first["0"], signal.SIGKILL)
        wait_until(lambda: "1" in executor_pids(cluster, job.app_id), within=300, what="another in its place")
        job.say("numbers")
        assert job.answer() == "45"
        cluster.master.kill()
        before = executor_pids(cluster, job.app_id)
        cluster.master.start()
        cluster.wait_for(job.app_id, "RUNNING", within=300)
        assert executor_pids(cluster, job.app_id) == before
        job.say("numbers")
        assert job.answer() == "45"
        job.say("stop")
        assert job.wait() == 0, job.text()
    cluster.wait_for(job.app_id, "FINISHED", within=5)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_executors_and_a_call_back_on_ipv6(tmp_path: Path) -> None:
    properties = {
        "spark.stoker.gateway.enabled": "true",
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(tmp_path / "recovery"),
    }
    conf = {"spark.cores.max": "1", "spark.driver.host": "[::1]", "spark.driver.bindAddress": "[::1]"}
    with Cluster(tmp_path / "six", host="::1", properties=properties) as six, SparkJob(six, conf) as job:
        job.say("numbers")
        assert job.answer() == "45"
        six.master.kill()
        before = executor_pids(six, job.app_id)
        six.master.start()
        six.wait_for(job.app_id, "RUNNING", within=300)
        assert executor_pids(six, job.app_id) == before
        job.say("numbers")
        assert job.answer() == "45"
        job.say("stop")
        assert job.wait() == 0, job.text()
        six.wait_for(job.app_id, "FINISHED", within=5)


def test_executors_start_from_what_was_made_for_them(cluster: Cluster) -> None:
    """An archive of classes and unpacked Python files are made in the background, for later executors. An executor whose
    archive is damaged gets none."""
    prepared = cluster.work / ".stoker"
    with SparkJob(cluster, {**LET_IN, "spark.cores.max": "1"}) as job:
        archive = wait_until(
            lambda: next(prepared.glob("class-data/*/archive.jsa"), None), within=300, what="an archive"
        )
        wait_until(lambda: f"{archive}: " in cluster.worker[0].text(), within=60, what="it is in use")
        wait_until(lambda: "are unpacked" in cluster.worker[0].text(), within=60, what="unpacked Python files")
        assert str(archive) in mapped_by_the_next_executor(cluster, job)
        job.say("files")
        found = Path(job.answer())
        assert found.is_relative_to(prepared / "spark-python")
        assert list(found.parent.glob("__pycache__/worker.*.pyc"))
        damaged = archive.with_name("damaged")
        damaged.write_bytes(archive.read_bytes()[:-4096])
        damaged.rename(archive)
        assert str(archive) not in mapped_by_the_next_executor(cluster, job)


def mapped_by_the_next_executor(cluster: Cluster, job: SparkJob) -> str:
    """Return the files that the next executor has mapped, after it has run a task."""
    before = wait_until(lambda: executor_pids(cluster, job.app_id), within=300, what="an executor")
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    job.say("numbers")
    assert job.answer() == "45"
    after = {name: pid for name, pid in executor_pids(cluster, job.app_id).items() if name not in before}
    (pid,) = after.values()
    return Path(f"/proc/{pid}/maps").read_text()


def test_a_killed_driver_takes_its_executors_along(cluster: Cluster) -> None:
    with SparkJob(cluster, {**LET_IN, "spark.cores.max": "1"}) as job:
        wait_until(lambda: executor_pids(cluster, job.app_id), within=300, what="an executor")
        job.kill_driver()
        cluster.wait_for(job.app_id, "FAILED", within=10)
        wait_until(lambda: not executor_pids(cluster, job.app_id), within=300, what="the executor's end")
    assert "its process has exited or is unreachable" in cluster.status(job.app_id)["reason"]


def test_a_killed_application_learns_of_it(cluster: Cluster) -> None:
    with SparkJob(cluster, LET_IN) as job:
        assert cluster.cli("kill", job.app_id).returncode == 1, "it belongs to the gateway's principal"
        assert cluster.cli("kill", "--admin", job.app_id).returncode == 0
        job.wait_for("from the command line")
    assert cluster.status(job.app_id)["state"] == "KILLED"


DYNAMIC = {**LET_IN, "spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.maxExecutors": "1"}


def test_a_stage_gets_executors_of_its_own_profile(cluster: Cluster) -> None:
    """Stage-level scheduling: other memory and a GPU, a second profile after the master was killed and is back, and one that
    no worker can serve, which waits with the reason."""
    with SparkJob(cluster, {**DYNAMIC, "spark.executor.cores": "1"}) as job:
        job.say("profile 600m 1")
        assert job.answer() == "(45, [('-Xmx600M', '1', '7')])"
        view = cluster.status(job.app_id)
        assert [(profile["id"], profile["memory_mib"]) for profile in view["profiles"]] == [(1, 600)]
        assert 1 in {executor["profile"] for executor in view["executors"] + view["removed_executors"]}
        cluster.master.kill()
        cluster.master.start()
        cluster.wait_for(job.app_id, "RUNNING", within=30)
        job.say("profile 550m")
        assert job.answer() == "(45, [('-Xmx550M', '2', '')])"
        job.say("profile 100g")
        words = "resource profile 3 needs 1 core and 102400 MiB on one worker"
        wait_until(lambda: words in cluster.cli("status", job.app_id).stdout, within=300, what="the reason it waits")


def test_what_workers_do_not_have_ends_the_application_with_the_reason(cluster: Cluster) -> None:
    """Spark would ask for it indefinitely: an external shuffle service."""
    said = len(cluster.master.text())
    with SparkJob(cluster, {**DYNAMIC, "spark.shuffle.service.enabled": "true"}) as job:
        job.say("numbers")
        job.wait_for("set spark.shuffle.service.enabled false")
        cluster.wait_for(job.app_id, "FAILED", within=20)
    assert cluster.master.text()[said:].count("WARNING") < 15


def test_a_task_learns_its_gpus_and_an_application_waits_for_more_than_there_are(cluster: Cluster) -> None:
    gpu = {"spark.task.resource.gpu.amount": "1", "spark.cores.max": "1"}
    with SparkJob(cluster, {**LET_IN, **gpu, "spark.executor.resource.gpu.amount": "1"}) as job:
        job.say("gpus")
        assert job.answer() == "(['7'], '7')"
    with SparkJob(cluster, {**LET_IN, **gpu, "spark.executor.resource.gpu.amount": "3"}) as job:
        job.say("gpus")
        job.wait_for("Initial job has not accepted any resources", within=60)
        app = cluster.status(job.app_id)
        assert (app["state"], app["resources"], app["removed_executors"]) == ("WAITING", [["gpu", 3]], [])
        assert "no worker offers 3 gpu (the most is 2)" in cluster.cli("status", job.app_id).stdout


def test_a_worker_without_the_spark_that_is_needed(cluster: Cluster, tmp_path: Path) -> None:
    """The executor is refused with a reason, and the driver's log shows it."""
    with SparkJob(cluster, {**LET_IN, "spark.executorEnv.SPARK_HOME": str(tmp_path)}, wait=False) as job:
        job.wait_for("on this worker, which the application names")
    assert cluster.status()["completed_apps"][-1]["state"] == "FAILED"


def test_who_does_not_know_the_secret_is_not_let_in(cluster: Cluster) -> None:
    before = cluster.status()
    for conf in ({**LET_IN, "spark.authenticate.secret": "guess"}, {}):
        with SparkJob(cluster, conf, wait=False) as job:
            job.wait_for("the master rejects this client")
    after = cluster.status()
    assert [len(after[name]) for name in ("active_apps", "completed_apps")] == [
        len(before[name]) for name in ("active_apps", "completed_apps")
    ]


def test_who_is_refused_hangs_up_himself(cluster: Cluster) -> None:
    """If the master closed the connection, Spark's driver would be interrupted just before it reads the reason."""
    caller = Caller("guess", "sasl", lambda: "nonce")
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=60) as refused:
        challenge = ask(refused, caller.first())
        answer = caller.received(challenge.body)
        assert answer is not None
        assert ask(refused, answer).kind is Kind.RPC_FAILURE
        with socket.create_connection(("127.0.0.1", cluster.port), timeout=60) as other:
            said = ask(other, caller.first())  # so the master has been round its loop
            assert said.kind is Kind.RPC_RESPONSE
        again = ask(refused, b"let me in")
        assert again.kind is Kind.RPC_FAILURE and b"wrong spark.authenticate.secret" in again.body
        refused.shutdown(socket.SHUT_WR)
        assert refused.recv(1) == b""


def ask(connection: socket.socket, body: bytes) -> Frame:
    """Return the answer; AssertionError when the connection is closed instead."""
    connection.sendall(frame(Kind.RPC_REQUEST, body, request=1))
    reader = FrameReader()
    while True:
        data = connection.recv(4096)
        assert data, "the master hung up"
        for incoming in reader.feed(data):
            return incoming


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Path:
    """A program that prints its first word and the version of the Spark it connected with; another word comes from a
    dependency (dep.jar)."""
    if shutil.which("javac") is None:
        pytest.skip("needs a Java compiler: apt-get install default-jdk-headless")
    folder = tmp_path_factory.mktemp("jar")
    (folder / "Main.java").write_text(
        "public class Main { public static void main(String[] words) {"
        " var spark = org.apache.spark.sql.SparkSession.builder().getOrCreate();"
        " System.out.println(words[0] + Dependency.WORD + spark.sparkContext().version()); spark.stop(); } }"
    )
    dependency = 'public class Dependency { public static final Object WORD = new String("="); }'
    (folder / "Dependency.java").write_text(dependency)
    spark = spark_environment(cluster)["SPARK_HOME"]
    subprocess.run(["javac", "-cp", f"{spark}/jars/*:.", "Main.java"], check=True, cwd=folder)
    subprocess.run(["jar", "cf", "app.jar", "Main.class"], check=True, cwd=folder)
    subprocess.run(["jar", "cf", "dep.jar", "Dependency.class"], check=True, cwd=folder)
    return folder / "app.jar"


@pytest.mark.parametrize("way", ["old client", "rest", "stoker"])
def test_a_jar_in_cluster_mode(cluster: Cluster, jar: Path, way: str) -> None:
    """Stoker's worker runs the driver with its own Spark; the driver connects like any other."""
    environment = spark_environment(cluster)
    spark = Path(environment["SPARK_HOME"])
    conf = {**LET_IN, "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.cores.max": "1"}
    options = [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
    options += ["--driver-memory", "512m", "--class", "Main", "--jars", f"file:{jar.parent}/dep.jar"]
    options += [f"file:{jar}", "version"]
    if way == "stoker":
        driver_id = cluster.cli("submit", *options).stdout.strip()
    else:
        is_rest = way == "rest"
        url = f"spark://127.0.0.1:{cluster.properties['spark.master.rest.port']}" if is_rest else cluster.url
        words = ["--master", url, "--deploy-mode", "cluster", "--conf", f"spark.master.rest.enabled={is_rest}".lower()]
        done = subprocess.run(
            [f"{spark}/bin/spark-submit", *words, *options],
            check=False, env=environment, capture_output=True, text=True, timeout=600, cwd=jar.parent,
        )  # fmt: skip
        found = re.search(r"driver-\d{14}-\d{4}", done.stderr)
        assert found, done.stderr
        driver_id = found[0]
    cluster.wait_for(driver_id, "FINISHED", "FAILED", "ERROR", within=300)
    complaints = (cluster.work / driver_id / "stderr").read_text()
    assert f"version={job_version(spark)}" in cluster.cli("logs", driver_id).stdout, complaints
    assert SECRET not in complaints  # its first line is the command


PI = """
import os, pyspark
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("pi", spark.sparkContext.parallelize(range(10), 2).sum(), spark.conf.get("spark.app.name"), pyspark.__file__)
spark.stop()
"""


@pytest.mark.parametrize("way", ["rest", "stoker"])
def test_python_in_cluster_mode_runs_with_the_workers_spark(cluster: Cluster, way: str) -> None:
    """As Spark's guide submits pi.py: the program has no Spark of its own, and its settings are the submission's."""
    script = cluster.script("pi.py", PI)
    conf = {**LET_IN, "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.cores.max": "1"}
    conf |= {"spark.app.name": "of conf", "spark.executor.memory": "512m", "spark.driver.memory": "512m"}
    if way == "stoker":
        options = [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
        driver_id = cluster.cli("submit", *options, script).stdout.strip()
    else:
        body = {
            "action": "CreateSubmissionRequest", "clientSparkVersion": "4.0.0", "appResource": "", "appArgs": [script],
            "mainClass": "org.apache.spark.deploy.SparkSubmit", "sparkProperties": conf, "environmentVariables": {},
        }  # fmt: skip
        url = f"http://127.0.0.1:{cluster.properties['spark.master.rest.port']}/v1/submissions/create"
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as answer:
            driver_id = json.load(answer)["submissionId"]
    cluster.wait_for(driver_id, "FINISHED", "FAILED", "ERROR", within=300)
    said = cluster.cli("logs", driver_id).stdout
    found = re.search(r"^pi 45 of conf (.*)$", said, re.MULTILINE)
    assert found, said + (cluster.work / driver_id / "stderr").read_text()
    assert "/python/lib/pyspark.zip/" in found[1]


def job_version(spark: Path) -> str:
    return next((spark / "jars").glob("spark-core_*.jar")).stem.rpartition("-")[2]


def test_garbage_costs_the_connection_only(cluster: Cluster) -> None:
    for data in (b"\0" * 8, b"\0\0\0\0\0\x10\0\0", b"\x7f" * 8, b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01"):
        with socket.create_connection(("127.0.0.1", cluster.port), timeout=10) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                answer = sock.recv(4096)
                assert (b"Its dashboard has another port" in answer) if data.startswith(b"GET") else answer == b""
    assert cluster.status()["state"] == "ALIVE"
    assert cluster.cli("run", "--total-executor-cores", "1", "--", sys.executable, "-c", "pass").returncode == 0
