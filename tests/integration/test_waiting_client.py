"""Clients that wait while no master answers: they use next to no CPU time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster

WATCHED = 10.0  # seconds
MOST = 0.02  # of a core; half a percent on a quiet machine
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def share_of_a_core(pid: int) -> float:
    began, used = time.monotonic(), cpu_seconds(pid)
    time.sleep(WATCHED)
    share = (cpu_seconds(pid) - used) / (time.monotonic() - began)
    print(f"{share:.2%} of a core")
    return share


SCRIPT = ("/bin/sh", "-c", "echo up; sleep 60")


def submit(cluster: Cluster) -> subprocess.Popen[str]:
    return cluster.start_cli("submit", "--wait", *SCRIPT)


def logs(cluster: Cluster) -> subprocess.Popen[str]:
    return cluster.start_cli("logs", "-f", cluster.submit(*SCRIPT))


def run(cluster: Cluster) -> subprocess.Popen[str]:
    return cluster.start_cli("run", "--total-executor-cores", "1", "--", *SCRIPT)


@pytest.mark.parametrize("start", [submit, logs, run])
def test_a_waiting_client_rests_while_no_master_answers(
    tmp_path: Path, start: Callable[[Cluster], subprocess.Popen[str]]
) -> None:
    with Cluster(tmp_path) as cluster:
        client = start(cluster)
        assert client.stdout is not None
        assert client.stdout.readline() == "up\n"
        cluster.master.kill()
        assert share_of_a_core(client.pid) < MOST
        client.kill()
        client.wait()
        cluster.stop(check=False)


def test_a_client_rests_while_names_do_not_resolve(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        url = "spark://no-such-host.invalid:7077,other.invalid:7077"
        client = cluster.start_cli("status", "--master", url, "--timeout", "60")
        assert client.stderr is not None
        assert "looking for a master" in client.stderr.readline()
        assert share_of_a_core(client.pid) < MOST
        client.kill()
        client.wait()
