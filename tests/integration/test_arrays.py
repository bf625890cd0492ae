"""Arrays on a real cluster: submitted, looked at, killed in part, over a killed master."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

TASK = """#!/bin/sh
echo "task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_JOB_ID, $STOKER_ARRAY_INDEX of $SLURM_ARRAY_TASK_COUNT"
test "$1" = until && while ! test -e "$2"; do sleep 0.05; done
exit $((SLURM_ARRAY_TASK_ID == 3 ? 7 : 0))
"""


def test_array_goes_on_after_its_master_was_killed(tmp_path: Path) -> None:
    durable = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(tmp_path / "records")}
    with Cluster(tmp_path, properties=durable) as cluster:
        script, go = cluster.script("task.sh", TASK), tmp_path / "go"
        array_id = cluster.submit("--array", "1-8%2", "--driver-memory", "64m", script, "until", str(go))
        wait_until(lambda: cluster.status(array_id)["array"]["running"] == 2, what="two tasks run")
        cluster.master.kill()
        cluster.master.start()
        wait_until(lambda: cluster.registrations() >= 1, what="the worker is back")
        held = cluster.cli("hold", f"{array_id}_7-8")
        assert held.stdout == f"{array_id}_7-8: 2 tasks held, of those that have not started\n"
        killed = cluster.cli("kill", f"{array_id}_5-6")
        assert (killed.returncode, killed.stdout) == (0, f"killed {array_id}_5-6\n")
        go.touch()
        wait_until(lambda: cluster.status(array_id)["array"]["finished"] == 3, what="1, 2 and 4 have finished")
        shown = cluster.cli("status", array_id).stdout
        assert "1-8, at most 2 at once" in shown
        assert "8 tasks: 2 held, 3 finished, 1 failed, 2 killed" in shown
        page = _page(cluster, array_id)
        assert "At most at once" in page and '<td class="id">7-8</td>' in page, page
        assert "it is held" in _page(cluster, f"{array_id}_8")
        assert cluster.cli("logs", f"{array_id}_4").stdout == f"task 4 of {array_id}, 4 of 8\n"
        assert "name one of its tasks, for example" in cluster.cli("logs", array_id).stderr
        assert cluster.cli("release", f"{array_id}_7").returncode == 0
        assert cluster.cli("kill", f"{array_id}_8").returncode == 0
        assert cluster.wait_for(array_id, "FAILED")["reason"] == "4 of 8 tasks did not finish"


def _page(cluster: Cluster, job_id: str) -> str:
    url = f"http://127.0.0.1:{cluster.webui_port}/driver/?driverId={job_id}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_waiting_for_an_array_returns_the_highest_exit_status(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        script = cluster.script("task.sh", TASK)
        done = cluster.cli("submit", "--wait", "--array", "0-4:2", "--driver-memory", "64m", script)
        assert (done.returncode, done.stdout) == (0, ""), done
        assert done.stderr.endswith("is FINISHED\n")
        done = cluster.cli("submit", "--wait", "--array", "2-4", "--driver-memory", "64m", script)
        assert done.returncode == 7
        assert "is FAILED: 1 of 3 tasks did not finish" in done.stderr
        for bad, fix in (
            ("5-1", "write 1-5"),
            ("1-4%0", "at least 1"),
            ("", "must not be empty"),
            ("0-1000000", "parts"),
        ):
            refused = cluster.cli("submit", "--array", bad, script)
            assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
            assert fix in refused.stderr
