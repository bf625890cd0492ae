"""stoker drain, undrain and forget on a real cluster."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster


def workers(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.status()["workers"]
    return found


@pytest.mark.parametrize("records", [False, True], ids=["no records", "records"])
def test_a_drained_worker_stays_drained_over_restarts_of_both_and_what_runs_goes_on(
    tmp_path: Path, records: bool
) -> None:
    recovery = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(tmp_path / "records")}
    with Cluster(tmp_path, properties=recovery if records else {}) as cluster:
        first = cluster.submit("/bin/sleep", "600")
        pid = cluster.wait_for(first, "RUNNING")["attempts"][0]["pid"]
        done = cluster.cli("drain", "127.0.0.1", "--json")
        assert done.returncode == 0, done.stderr
        assert [worker["draining"] for worker in json.loads(done.stdout)["workers"]] == [True]
        second = cluster.submit("/bin/true")

        cluster.worker[0].kill(signal.SIGTERM)
        cluster.worker[0].start()
        wait_until(lambda: cluster.registrations() >= 2, what="the worker is back")
        cluster.master.kill()
        cluster.master.start()
        wait_until(lambda: cluster.registrations() >= 3, what="the worker is with the new master")

        wait_until(lambda: workers(cluster)[0]["state"] == "ALIVE", what="recovered")
        assert workers(cluster)[0]["draining"] is True
        again = cluster.status(first)
        assert (again["state"], len(again["attempts"]), again["attempts"][0]["pid"]) == ("RUNNING", 1, pid)
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.webui_port}/json/", timeout=10) as answer:
            assert json.load(answer)["workers"][0]["state"] == "DECOMMISSIONED"
        if not records:  # without records the new master does not know of it
            second = cluster.submit("/bin/true")
        assert "every live worker is draining" in cluster.cli("status", second).stdout
        assert cluster.cli("undrain", "127.0.0.1").returncode == 0
        cluster.wait_for(second, "FINISHED")


def test_waiting_until_nothing_runs_there(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        job = cluster.submit("/bin/sleep", "600")
        cluster.wait_for(job, "RUNNING")
        address = f"127.0.0.1:{workers(cluster)[0]['port']}"
        done = cluster.cli("drain", "--wait", "--timeout", "0.3s", address)
        assert done.returncode == 1
        assert f"{address} is draining, but still runs {job} after 0.3 s" in done.stderr
        waiting = cluster.start_cli("drain", "--wait", address)
        assert waiting.stderr is not None
        assert f"{address}: 1 still running" in waiting.stderr.readline()
        cluster.cli("kill", job)
        out, err = waiting.communicate(timeout=30)
        assert waiting.returncode == 0, err
        assert "ALIVE draining" in out


def test_a_worker_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        (worker,) = workers(cluster)
        refused = cluster.cli("forget", worker["id"])
        assert refused.returncode == 1 and "stop the worker first" in refused.stderr
        cluster.worker[0].kill(signal.SIGINT)
        wait_until(lambda: workers(cluster)[0]["state"] == "DEAD")
        assert cluster.cli("forget", worker["id"]).returncode == 0
        assert workers(cluster) == []


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        for words, code, says in (
            (("drain", "nowhere"), 1, "there is no worker 'nowhere'"),
            (("undrain", "127.0.0.1", "nowhere"), 1, "there is no worker 'nowhere'"),
            (("forget", "nowhere"), 1, "there is no worker 'nowhere'"),
            (("drain",), 2, "WORKER"),
            (("drain", "--timeout", "5s", "h"), 2, "--wait"),
            (("drain", "--wait", "--timeout", "soon", "h"), 2, "soon"),
        ):
            done = cluster.cli(*words)
            assert (done.returncode, done.stderr.count("\n")) == (code, 1) and says in done.stderr, done.stderr
        (tmp_path / ".config" / "stoker").mkdir(parents=True, exist_ok=True)
        (Path(cluster.environ["SPARK_CONF_DIR"]) / "keys" / "private" / "admin.key").unlink()
        done = cluster.cli("drain", "127.0.0.1")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "admin.key" in done.stderr


def test_a_deadline_stops_what_still_runs(tmp_path: Path) -> None:
    with Cluster(tmp_path, workers=2) as cluster:
        first, second = (worker["id"] for worker in workers(cluster))
        cluster.cli("drain", second)
        supervised = cluster.submit("--supervise", "/bin/sleep", "600")
        other = cluster.submit("/bin/sleep", "600")
        for job in (supervised, other):
            cluster.wait_for(job, "RUNNING")
        cluster.cli("undrain", second)
        done = cluster.cli("drain", first, "--reason", "new disk", "--deadline", "1s", "--wait", "--timeout", "60s")
        assert done.returncode == 0, done.stderr
        assert "new disk" in cluster.status(other)["reason"]
        assert cluster.status(other)["state"] == "KILLED"
        wait_until(lambda: cluster.status(supervised)["worker_id"] == second, what="it runs elsewhere")
        assert "new disk" in cluster.cli("status", first).stdout
        for words in (["--deadline", "0"], ["--deadline", "x"], ["--reason", "a\nb"], ["--reason", "x" * 300]):
            done = cluster.cli("drain", first, *words)
            assert done.returncode == 2
            assert len(done.stderr.splitlines()) == 1, done.stderr
