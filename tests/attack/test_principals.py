"""An authenticated client must not kill or take over the jobs of others: the three ways that were open in 0.1.0.

Real daemons where the shell decides (keys, REST); the core with the real codec where only a message decides.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from stoker.core.master.effects import Received
from stoker.core.model.messages import (
    ApplicationRemoved,
    Failed,
    KillJob,
    LaunchExecutor,
    RegisterApplication,
    RegisteredApplication,
    RegisterWorker,
)
from stoker.core.model.states import ApplicationState, ExecutorState, Role
from stoker.core.model.values import ExecutorReport
from stoker.security.keys import Keys
from tests.support.cluster import ME, Cluster, free_port
from tests.support.core import Bench, application
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    properties = {"spark.master.rest.port": str(free_port())}
    with Cluster(tmp_path_factory.mktemp("principals"), properties=properties, cores=4) as running:
        yield running


@pytest.fixture(scope="module")
def mallory(cluster: Cluster) -> dict[str, str]:
    """The environment of somebody with a client key of her own."""
    theirs, folder = cluster.home / "conf" / "keys", cluster.home / "mallory"
    Keys.make(folder, [Role.CLIENT])
    with (theirs / "authorized").open("a") as file:
        file.write(f"client {Keys(folder).pair(Role.CLIENT)[0]} mallory\n")
    (folder / "known_masters").write_text((theirs / "known_masters").read_text())
    return {"STOKER_KEYS_DIR": str(folder)}


def sleeper(cluster: Cluster) -> str:
    job = cluster.submit("/bin/sleep", "1000")
    wait_until(lambda: cluster.wait_for(job, "RUNNING")["attempts"][-1]["pid"], what="a process")
    return job


def check_only_its_own_may_kill(cluster: Cluster, job: str, mallory: dict[str, str]) -> None:
    refused = cluster.cli("kill", job, env=mallory)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{job} belongs to {ME}" in refused.stderr and refused.stderr.count("\n") == 1
    found = cluster.status(job)
    assert (found["state"], found["principal"], found["kill"]) == ("RUNNING", ME, None)
    assert cluster.cli("kill", job).returncode == 0
    found = cluster.status(job)
    assert (found["state"], found["reason"]) == ("KILLED", f"killed by {ME} from the command line")
    assert (found["kill"]["by"], found["kill"]["door"]) == (ME, "cli")
    assert f"killed by {ME} from the command line" in cluster.cli("status", job).stdout


@pytest.mark.cluster
def test_a_driver_keeps_its_principal_over_a_master_without_records(cluster: Cluster, mallory: dict[str, str]) -> None:
    job = sleeper(cluster)
    before = cluster.registrations()
    cluster.master.kill()
    cluster.master.start()
    wait_until(lambda: cluster.registrations() > before, what="the worker is back")
    check_only_its_own_may_kill(cluster, job, mallory)


@pytest.mark.cluster
def test_a_driver_keeps_its_principal_over_restarts_of_both_sides(cluster: Cluster, mallory: dict[str, str]) -> None:
    """In between only the keeper has the principal."""
    job = sleeper(cluster)
    before = cluster.registrations()
    cluster.worker[0].kill()
    cluster.master.kill()
    cluster.master.start()
    cluster.worker[0].start()
    wait_until(lambda: cluster.registrations() > before, what="the worker is back")
    cluster.wait_for(job, "RUNNING")
    check_only_its_own_may_kill(cluster, job, mallory)


@pytest.mark.cluster
def test_what_the_local_user_submits_over_rest_is_theirs(cluster: Cluster, mallory: dict[str, str]) -> None:
    body = {
        "action": "CreateSubmissionRequest",
        "clientSparkVersion": "4.1.0",
        "appResource": "",
        "mainClass": "org.apache.spark.deploy.SparkSubmit",
        "appArgs": [cluster.script("job.py", "import time; time.sleep(1000)\n")],
        "environmentVariables": {},
        "sparkProperties": {"spark.app.name": "job"},
    }
    port = cluster.properties["spark.master.rest.port"]
    url = f"http://127.0.0.1:{port}/v1/submissions/create"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    assert answer["success"], answer
    job = answer["submissionId"]
    cluster.wait_for(job, "RUNNING")
    check_only_its_own_may_kill(cluster, job, mallory)


# --- the core ---------------------------------------------------------------------------------------------------------


def executors_of(bench: Bench, app_id: str, launch: LaunchExecutor) -> ExecutorReport:
    return ExecutorReport(
        app_id=app_id,
        executor_id=launch.executor_id,
        cores=launch.cores,
        memory_mib=launch.memory_mib,
        state=ExecutorState.RUNNING,
        app=launch.app,
        pid=77,
        principal=launch.principal,
    )


def come_back(bench: Bench, *reports: ExecutorReport) -> None:
    message = RegisterWorker(
        worker_id="worker-20270101000000-h1-4001", boot="b", host="h1", port=4001, cores=4, memory_mib=4096,
        executors=reports, highest_epoch=bench.epoch,
    )  # fmt: skip
    bench.send("w1", message)


def take_over(bench: Bench, app_id: str, *, key: str, peer: str) -> Any:
    """Register under the id of somebody else's application; the answer."""
    bench.inbox[peer] = []
    message = RegisterApplication(request=9, token=f"of {key}", app=application(), app_id=app_id)
    bench.send(peer, message, key=key)
    return bench.inbox[peer][0]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.worker("w1")
    return bench


def test_an_application_known_from_its_executors_is_not_taken_over(bench: Bench) -> None:
    app_id = bench.application("c1", max_cores=2)
    launch = bench.take_all("w1", LaunchExecutor)[0]
    assert launch.principal == "k1"
    bench.restart(keep=False)
    come_back(bench, executors_of(bench, app_id, launch))
    answer = take_over(bench, app_id, key="mallory", peer="c6")
    assert isinstance(answer, Failed) and answer.code == "not-authorized" and "belongs to k1" in answer.reason
    bench.send("c6", KillJob(request=2, id=app_id), key="mallory")
    assert bench.take_all("c6", Failed)[-1].code == "not-authorized"
    assert isinstance(take_over(bench, app_id, key="k1", peer="c1"), RegisteredApplication)


def test_who_registered_first_under_its_id_loses_it_when_its_worker_reports(bench: Bench) -> None:
    app_id = bench.application("c1", max_cores=2)
    launch = bench.take_all("w1", LaunchExecutor)[0]
    bench.restart(keep=False)
    assert isinstance(take_over(bench, app_id, key="mallory", peer="c6"), RegisteredApplication)
    bench.inbox.clear()
    come_back(bench, executors_of(bench, app_id, launch))
    removed = bench.take("c6", ApplicationRemoved)
    assert removed.state is ApplicationState.FAILED and "belongs to k1" in removed.reason
    assert bench.take_all("c6", Failed) == []
    assert isinstance(take_over(bench, app_id, key="k1", peer="c1"), RegisteredApplication)
    app = bench.core.ctx.books.apps[app_id]
    assert (app.record.principal, list(app.executors)) == ("k1", [launch.executor_id])


def spark_application(bench: Bench, principal: str) -> str:
    message = RegisterApplication(request=1, token="spark", app=application(name="spark"))
    event = Received(b"c1", "", Role.CLIENT, message, principal=principal, door="spark")
    bench.core.handle(event, bench.now)
    bench._apply(bench.core.finish_batch(bench.now))
    return bench.take_all("c1", RegisteredApplication)[0].app_id


@pytest.mark.parametrize("principal", ["gateway", ""])
def test_an_application_of_a_spark_client_is_neither_killed_nor_taken_over(bench: Bench, principal: str) -> None:
    """With the gateway's secret, and through an open gateway."""
    app_id = spark_application(bench, principal)
    answer = take_over(bench, app_id, key="mallory", peer="c6")
    assert isinstance(answer, Failed) and answer.code == "not-authorized"
    bench.send("c6", KillJob(request=2, id=app_id), key="mallory")
    assert bench.take_all("c6", Failed)[-1].code == "not-authorized"
    assert app_id in bench.core.ctx.books.apps
    bench.send("c9", KillJob(request=2, id=app_id), role=Role.ADMIN)
    app = bench.core.ctx.books.completed_apps[app_id]
    assert app.record.reason == "killed by k1 from the command line"


def give(bench: Bench, driver_id: str, principal: str | None) -> None:
    """Let a running driver belong to ``principal``, as if it had been recorded so."""
    books = bench.core.ctx.books
    driver = books.drivers[driver_id]
    worker = books.workers[driver.record.attempts[-1].worker_id]
    books.release_driver(driver)
    driver.record.principal = principal
    books.place_driver(driver, worker)


def test_nobody_in_particular_owns_nothing(bench: Bench) -> None:
    """Two clients without a principal are different ones: an open gateway's clients cannot kill each other's drivers."""
    driver_id = bench.submit("c1")
    give(bench, driver_id, "")
    bench.send("c2", KillJob(request=1, id=driver_id), key="")
    assert bench.take("c2", Failed).code == "not-authorized"


def test_a_job_of_an_unknown_principal_is_for_admins(bench: Bench) -> None:
    driver_id = bench.submit("c1")
    give(bench, driver_id, None)
    bench.send("c1", KillJob(request=1, id=driver_id))
    assert bench.take("c1", Failed).code == "not-authorized"
