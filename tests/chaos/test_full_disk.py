"""The disk of the recovery directory is full: the master rejects submissions, says why, and continues when there is room
again."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import alive
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster


def limit_files(pid: int, size: int) -> None:
    """Limit the size of that process's files: writes beyond it fail, as on a full disk."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size < 0 else size, hard))


def test_a_master_that_cannot_record_waits_and_goes_on(tmp_path: Path) -> None:
    properties = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(tmp_path / "r")}
    with Cluster(tmp_path, cores=2, properties=properties) as cluster:
        flag = tmp_path / "flag"
        job = cluster.submit("/bin/sh", "-c", f"while [ ! -e {flag} ]; do sleep 0.05; done; exit 7")
        pid = wait_until(lambda: cluster.wait_for(job, "RUNNING")["attempts"][-1].get("pid"), what="a pid")
        log = tmp_path / "r" / "recovery.sqlite-wal"
        assert log.stat().st_size > 2 * (tmp_path / "master.log").stat().st_size, "its own log must have room"
        limit_files(cluster.master.pid, log.stat().st_size)
        waiting = cluster.start_cli("submit", "--timeout", "60", "/bin/sh", "-c", "true")
        wait_until(lambda: "does nothing until that works" in cluster.master.text(), what="it has noticed")
        status = cluster.cli("status")
        assert "warning: the master waits: cannot write to" in status.stdout
        refused = cluster.cli("submit", "--timeout", "1", "/bin/sh", "-c", "true")
        assert refused.returncode == 1 and "the master waits: cannot write to" in refused.stderr.splitlines()[-1]
        assert alive(pid)
        flag.touch()  # it ends while that cannot be recorded
        wait_until(lambda: not alive(pid), what="the job ends")
        limit_files(cluster.master.pid, -1)
        out, said = waiting.communicate(timeout=60)
        assert waiting.returncode == 0, said
        cluster.wait_for(out.strip(), "FINISHED")
        assert cluster.wait_for(job, "FAILED")["attempts"][-1]["exit"]["code"] == 7
        cluster.master.kill()
        cluster.master.start()
        wait_until(lambda: cluster.registrations() >= 2, what="the worker is back")
        assert cluster.status(job)["state"] == "FAILED" and cluster.status(out.strip())["state"] == "FINISHED"
