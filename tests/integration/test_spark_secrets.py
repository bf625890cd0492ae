"""Unmodified pyspark with two secrets, in two pools, over a fail-over of the masters; then one of them is revoked."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.gateway.guard import Caller
from stoker.gateway.spark_rpc import FrameReader, Kind, frame
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

ADA, BOB = "ada's" + "0" * 27, "bob's" + "1" * 27
POOLS = "pools:\n  etl: {users: [ada]}\n  night: {users: [bob]}\n"


@pytest.fixture
def cluster(zookeeper: ZooKeeperServers, tmp_path: Path) -> Iterator[HaCluster]:
    write(tmp_path / "gateway", f"ada etl {ADA}", f"bob night {BOB}")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "pools.yml").write_text(POOLS)
    properties = {
        "spark.stoker.gateway.enabled": "true",
        "spark.stoker.gateway.secretsFile": str(tmp_path / "gateway"),
        "spark.stoker.spark.classDataSharing": "false",
    }
    with HaCluster(tmp_path, zookeeper=zookeeper.hosts, cores=2, properties=properties) as running:
        yield running


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)


def job_of(cluster: HaCluster, secret: str, **crypto: str) -> SparkJob:
    conf = {"spark.authenticate": "true", "spark.authenticate.secret": secret, "spark.cores.max": "1"}
    return SparkJob(cluster, {**conf, **crypto})


def driver_port(cluster: HaCluster, app_id: str) -> int:
    """Where that application's driver listens for its executors: their command names it."""
    commands = [command for command in cluster.processes().values() if app_id in command and "--driver-url" in command]
    url = commands[0].split("--driver-url ")[1].split()[0]
    return int(url.rpartition(":")[2])


def is_let_in(port: int, secret: str) -> bool:
    """Return whether a driver accepts that secret from a caller."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(frame(Kind.RPC_REQUEST, Caller(secret, "crypto2", lambda: "n").first(), request=1))
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return False
        return bool(data) and next(FrameReader().feed(data)).kind is Kind.RPC_RESPONSE


def compute(job: SparkJob) -> None:
    job.say("numbers")
    assert job.answer() == "45"


def test_two_names_in_two_pools_over_a_fail_over_and_a_revocation(cluster: HaCluster, tmp_path: Path) -> None:
    encrypted = {"spark.network.crypto.enabled": "true", "spark.network.crypto.authEngineVersion": "2"}
    with job_of(cluster, ADA) as of_ada, job_of(cluster, BOB, **encrypted) as of_bob:
        compute(of_ada)
        compute(of_bob)
        found = {app["id"]: (app["principal"], app["pool"]) for app in cluster.status()["active_apps"]}
        assert found == {of_ada.app_id: ("ada", "etl"), of_bob.app_id: ("bob", "night")}
        port = driver_port(cluster, of_bob.app_id)
        assert is_let_in(port, BOB) and not is_let_in(port, ADA)
        before = executor_pids(cluster, of_ada.app_id), executor_pids(cluster, of_bob.app_id)

        cluster.all_masters[0].kill()
        cluster.wait_recovered(1, within=20)
        wait_until(
            lambda: [app["state"] for app in cluster.json(1)["activeapps"]] == ["RUNNING"] * 2,
            within=30,
            what="both run",
        )
        assert (executor_pids(cluster, of_ada.app_id), executor_pids(cluster, of_bob.app_id)) == before
        compute(of_ada)
        compute(of_bob)
        again = {app["id"]: (app["principal"], app["pool"]) for app in cluster.status()["active_apps"]}
        assert again == found

        write(tmp_path / "gateway", f"bob night {BOB}")
        began = time.monotonic()
        revoked = "the secret of ada was revoked"
        wait_until(lambda: revoked in cluster.all_masters[1].text(), within=1.5, what="ada is turned out")
        assert time.monotonic() - began < 1.5
        compute(of_bob)
        of_bob.say("stop")
        assert of_bob.wait() == 0, of_bob.text()
    for path in (path for path in tmp_path.rglob("*") if path.is_file() and path != tmp_path / "gateway"):
        if path.name not in ("spark-defaults.conf", "out"):  # the clients' own
            text = path.read_bytes()
            assert ADA.encode() not in text and BOB.encode() not in text, path
    answers = str(cluster.status()) + str(cluster.json(1))
    assert ADA not in answers and BOB not in answers
