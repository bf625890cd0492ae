"""Daemons are killed and come back; what runs must not notice (issue: processes survive, nothing is orphaned)."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import alive
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

SLEEPER = '#!/bin/sh\necho started $$\nwhile [ ! -e "$1" ]; do sleep 0.05; done\nexit 7\n'


def running_pid(cluster: Cluster, job: str) -> int:
    pid = wait_until(lambda: cluster.wait_for(job, "RUNNING")["attempts"][-1].get("pid"), what="a pid")
    assert isinstance(pid, int)
    return pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_driver_survives_a_worker_restart_with_its_true_exit_code(
    cluster: Cluster, tmp_path: Path, number: int
) -> None:
    flag = tmp_path / "flag"
    job = cluster.submit(cluster.script("sleeper", SLEEPER), str(flag))
    pid = running_pid(cluster, job)
    cluster.worker[0].kill(number)
    cluster.worker[0].start()
    wait_until(lambda: cluster.registrations() >= 2, what="the worker is back")
    found = cluster.wait_for(job, "RUNNING")
    assert found["attempts"][-1]["pid"] == pid and len(found["attempts"]) == 1
    flag.touch()
    found = cluster.wait_for(job, "FAILED")
    assert found["attempts"][-1]["exit"]["code"] == 7


def test_driver_that_ends_while_its_worker_is_away_keeps_its_exit_code(cluster: Cluster, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    job = cluster.submit(cluster.script("sleeper", SLEEPER), str(flag))
    pid = running_pid(cluster, job)
    cluster.worker[0].kill()
    flag.touch()
    wait_until(lambda: not alive(pid), what="the driver ends")
    cluster.worker[0].start()
    assert cluster.wait_for(job, "FAILED")["attempts"][-1]["exit"]["code"] == 7


def test_everything_ends_when_the_worker_never_comes_back(tmp_path: Path) -> None:
    with Cluster(tmp_path, properties={"spark.stoker.worker.reconnectTimeout": "2s"}) as cluster:
        job = cluster.submit("/bin/sh", "-c", "trap '' TERM; setsid sleep 1000 & sleep 1000")
        running_pid(cluster, job)
        cluster.worker[0].kill()
        found = cluster.wait_for(job, "ERROR")
        assert "did not come back" in found["reason"]
        left = [words for words in cluster.processes().values() if "stoker master" not in words]
        assert not [words for words in left if "keeper.py" not in words], "jobs end before the master gives them up"
        wait_until(lambda: "keeper.py" not in str(cluster.processes()), within=5, what="the keeper ends, too")


def test_after_both_daemon_and_keeper_are_killed_the_next_start_cleans_up(cluster: Cluster) -> None:
    job = cluster.submit("/bin/sh", "-c", "setsid sleep 1000 & sleep 1000")
    running_pid(cluster, job)
    keepers = [pid for pid, words in cluster.processes().items() if "keeper.py" in words]
    assert len(keepers) == 1
    cluster.worker[0].kill()
    os.kill(keepers[0], signal.SIGKILL)
    assert any("sleep 1000" in words for words in cluster.processes().values())
    cluster.worker[0].start()
    wait_until(lambda: cluster.registrations() >= 2)
    wait_until(lambda: not any("sleep 1000" in words for words in cluster.processes().values()), what="all are ended")
    assert cluster.wait_for(job, "ERROR")


def test_the_end_of_a_driver_survives_worker_and_keeper(cluster: Cluster, tmp_path: Path) -> None:
    """The driver exits while the master hangs; its end is not reported when worker and keeper are killed."""
    flag = tmp_path / "flag"
    job = cluster.submit(cluster.script("waiter", '#!/bin/sh\nwhile [ ! -e "$1" ]; do sleep 0.05; done\n'), str(flag))
    pid = running_pid(cluster, job)
    keeper = next(pid for pid, words in cluster.processes().items() if "keeper.py" in words)
    journal = cluster.work / ".stoker" / "worker-1" / "journal"
    os.kill(cluster.master.pid, signal.SIGSTOP)
    try:
        flag.touch()
        wait_until(lambda: f"\n= {job}:1 {pid} " in journal.read_text(), what="the keeper has noted the end")
        os.kill(keeper, signal.SIGKILL)
        cluster.worker[0].kill()
        cluster.worker[0].start()
    finally:
        os.kill(cluster.master.pid, signal.SIGCONT)
    found = cluster.wait_for(job, "FINISHED")
    assert [attempt["exit"]["code"] for attempt in found["attempts"]] == [0]


def test_killed_keeper_is_replaced_and_its_driver_is_lost(cluster: Cluster) -> None:
    job = cluster.submit("--supervise", "/bin/sh", "-c", "sleep 1000")
    first = running_pid(cluster, job)
    keeper = next(pid for pid, words in cluster.processes().items() if "keeper.py" in words)
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: len(cluster.status(job)["attempts"]) == 2, what="a second attempt")
    wait_until(lambda: not alive(first), what="the old process is ended")
    assert cluster.cli("kill", job).returncode == 0


def test_supervised_driver_moves_to_another_worker(tmp_path: Path) -> None:
    properties = {"spark.stoker.worker.reconnectTimeout": "1s"}
    with Cluster(tmp_path, workers=2, cores=1, properties=properties) as cluster:
        job = cluster.submit("--supervise", "/bin/sleep", "1000")
        before = cluster.wait_for(job, "RUNNING")
        port = before["worker_id"].rsplit("-", 1)[1]
        victim = next(w for w in cluster.worker if f"-{port}:" in w.text())
        old = running_pid(cluster, job)
        victim.kill()
        wait_until(lambda: len(cluster.status(job)["attempts"]) == 2, what="a second attempt")
        assert not alive(old), "the first attempt is over before the second starts"
        assert cluster.wait_for(job, "RUNNING")["worker_id"] != before["worker_id"]


@pytest.mark.parametrize("mode", ["NONE", "FILESYSTEM"])
def test_master_restart_leaves_drivers_and_applications_alone(tmp_path: Path, mode: str) -> None:
    properties = {
        "spark.deploy.recoveryMode": mode,
        "spark.deploy.recoveryDirectory": str(tmp_path / "recovery"),
    }
    with Cluster(tmp_path, cores=2, properties=properties) as cluster:
        flag = tmp_path / "flag"
        script = cluster.script("sleeper", SLEEPER)
        job = cluster.submit(script, str(flag))
        pid = running_pid(cluster, job)
        run = cluster.start_cli("run", "--total-executor-cores", "1", "--", script, str(flag))
        app = wait_until(lambda: cluster.status()["active_apps"], what="an application")[0]
        wait_until(lambda: cluster.status(app["id"])["executors"][0].get("pid"), what="an executor")
        before = cluster.status(app["id"])["executors"][0]["pid"]
        cluster.master.kill()
        cluster.master.start()
        wait_until(lambda: cluster.registrations() >= 2, what="the worker is back")
        wait_until(lambda: cluster.status()["active_apps"], what="the application is back")
        wait_until(lambda: cluster.status()["active_apps"][0]["state"] == "RUNNING")
        assert cluster.status(job)["attempts"][-1]["pid"] == pid
        assert [executor["pid"] for executor in cluster.status(app["id"])["executors"]] == [before]
        assert cluster.submit("/bin/true") != job
        flag.touch()
        assert run.wait(30) == 7
        run.communicate()
        assert cluster.wait_for(job, "FAILED")["attempts"][-1]["exit"]["code"] == 7


def test_queue_and_history_survive_with_filesystem_recovery(tmp_path: Path) -> None:
    properties = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(tmp_path / "r")}
    with Cluster(tmp_path, cores=1, properties=properties) as cluster:
        ended = cluster.submit("/bin/sh", "-c", "exit 4")
        cluster.wait_for(ended, "FAILED")
        queued = cluster.submit("--driver-cores", "2", "/bin/true")
        cluster.master.kill()
        cluster.master.start()
        wait_until(lambda: cluster.registrations() >= 2)
        assert cluster.status(ended)["attempts"][0]["exit"]["code"] == 4
        assert cluster.status(queued)["state"] == "SUBMITTED"


def test_second_master_on_the_same_recovery_directory_is_refused(tmp_path: Path) -> None:
    properties = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(tmp_path / "r")}
    with Cluster(tmp_path, properties=properties) as cluster:
        second = cluster.cli("master", "-h", "127.0.0.1", "-p", "0", "--webui-port", "0")
        assert second.returncode == 1
        assert f"process {cluster.master.pid}" in second.stderr.splitlines()[-1]


def test_crashed_worker_is_noticed_at_once(cluster: Cluster) -> None:
    def state() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.webui_port}/json/workers") as answer:
            found: str = json.load(answer)["workers"][0]["state"]
        return found

    assert state() == "ALIVE"
    cluster.worker[0].kill()
    wait_until(lambda: state() == "DEAD", within=2, what="the worker is DEAD")


def test_frozen_worker_is_noticed_after_worker_timeout_and_taken_back(tmp_path: Path) -> None:
    with Cluster(tmp_path, properties={"spark.worker.timeout": "2s"}) as cluster:
        assert cluster.worker[0].process is not None
        cluster.worker[0].process.send_signal(signal.SIGSTOP)
        wait_until(lambda: cluster.status()["workers"][0]["state"] == "DEAD", within=15)
        cluster.worker[0].process.send_signal(signal.SIGCONT)
        wait_until(lambda: cluster.status()["workers"][0]["state"] == "ALIVE", within=15)
