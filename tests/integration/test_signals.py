"""Signals that daemons get from machines and terminals (docs/operations.md)."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.cluster import STOKER, Cluster
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster


def test_sigpwr_drains_a_worker_and_its_restart_knows(cluster: Cluster) -> None:
    job = cluster.submit("/bin/sleep", "600")
    wait_until(lambda: cluster.wait_for(job, "RUNNING")["attempts"][-1].get("pid"), what="it runs")
    worker = cluster.worker[0]
    for _ in range(2):
        os.kill(worker.pid, signal.SIGPWR)
    wait_until(lambda: cluster.status()["workers"][0].get("draining"), what="the master knows")
    assert worker.text().count("decommissioned: draining") == 1
    found = cluster.status()["workers"][0]
    assert (found["state"], found["running"]) == ("ALIVE", 1)
    waiting = cluster.submit("/bin/true")
    assert "undrain" in cluster.cli("status", waiting).stdout
    registrations = cluster.registrations()
    worker.kill(signal.SIGTERM)
    worker.start()
    wait_until(lambda: cluster.registrations() > registrations, what="it is back")
    assert cluster.status()["workers"][0]["draining"]
    assert cluster.cli("undrain", "127.0.0.1").returncode == 0
    cluster.wait_for(waiting, "FINISHED")
    assert cluster.status(job)["state"] == "RUNNING"


def test_sighup_of_a_service_is_logged_and_changes_nothing(cluster: Cluster) -> None:
    for daemon in (cluster.master, *cluster.worker):
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda daemon=daemon: "SIGHUP: nothing to do" in daemon.text(), what="a line")  # type: ignore[misc]
    os.kill(cluster.master.pid, signal.SIGPWR)
    wait_until(lambda: "SIGPWR is for workers" in cluster.master.text(), what="a line")
    job = cluster.submit("/bin/true")
    cluster.wait_for(job, "FINISHED")


def test_a_worker_ends_with_its_jobs_when_its_terminal_closes(tmp_path: Path) -> None:
    with Cluster(tmp_path, workers=0) as cluster:
        ours, its = pty.openpty()
        words = [*STOKER, "worker", "-h", "127.0.0.1", "--webui-port", "0", "-c", "1", "-m", "1g", cluster.url]
        worker = subprocess.Popen(words, env=cluster.environ, stdin=its, stdout=its, stderr=its, start_new_session=True)
        os.close(its)
        try:
            wait_until(lambda: cluster.registered_workers() == 1, what="it is registered")
            job = cluster.submit("/bin/sleep", "600")
            wait_until(lambda: cluster.wait_for(job, "RUNNING")["attempts"][-1].get("pid"), what="it runs")
            os.close(ours)
            worker.send_signal(signal.SIGHUP)  # like the kernel, for the terminal's session
            assert worker.wait(20) in (0, 120)  # 120: its log was the terminal
            assert not any("sleep 600" in line for line in cluster.processes().values())
        finally:
            worker.kill()
