"""A keeper outlives an upgrade of its daemon: release 0.1.0's and today's understand each other, both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.releases import source_of
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

SLEEPER = '#!/bin/sh\nwhile [ ! -e "$1" ]; do sleep 0.05; done\nexit 7\n'
TRAPPER = "trap 'echo cleaned up; exit 5' TERM; echo up; while :; do sleep 0.05; done"


@pytest.fixture
def old(tmp_path: Path) -> Iterator[str]:
    yield str(source_of("0.1.0", tmp_path / "releases"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()


def keepers(cluster: Cluster) -> list[int]:
    return [pid for pid, words in cluster.processes().items() if "keeper.py" in words]


def shown(cluster: Cluster) -> dict[str, Any]:
    """Return the live worker as ``stoker status --json`` shows it."""
    workers: list[dict[str, Any]] = json.loads(cluster.cli("status", "--json").stdout)["workers"]
    return next(worker for worker in workers if worker["state"] == "ALIVE")


@pytest.mark.parametrize("first", ["old", "new"])
def test_the_next_daemon_is_of_another_release(tmp_path: Path, old: str, first: str) -> None:
    with Cluster(tmp_path, cores=3) as cluster:
        worker = cluster.worker[0]
        worker.env = dict(worker.env)  # not the commands', which stay as they are
        new = worker.env.get("PYTHONPATH", "")
        if first == "old":  # start again, as 0.1.0, with a keeper of 0.1.0
            assert worker.kill() < 0
            wait_until(lambda: not any("keeper.py" in words for words in cluster.processes().values()))
            worker.env["PYTHONPATH"] = old
            worker.start()
            wait_until(lambda: cluster.registrations() >= 2, what="0.1.0 is registered")
        flag = tmp_path / "flag"
        script = cluster.script("sleeper", SLEEPER)
        kept = cluster.submit(script, str(flag))
        ends_meanwhile = cluster.submit("/bin/sh", "-c", "sleep 2; exit 9")
        for job in (kept, ends_meanwhile):
            wait_until(lambda job=job: cluster.status(job)["attempts"][-1].get("pid"), what="it runs")  # type: ignore[misc]
        keeper = keepers(cluster)
        is_old = old in cluster.processes()[keeper[0]]
        assert is_old == (first == "old")
        registrations = cluster.registrations()
        worker.kill()
        worker.env["PYTHONPATH"] = new if first == "old" else old
        worker.start()
        wait_until(lambda: cluster.registrations() > registrations, what="the other release is registered")
        assert keeper == keepers(cluster)
        assert cluster.wait_for(ends_meanwhile, "FAILED")["attempts"][-1]["exit"]["code"] == 9
        trapper = cluster.submit("/bin/sh", "-c", TRAPPER)
        wait_until(lambda: cluster.cli("logs", trapper).stdout == "up\n", what="a new job runs")
        assert cluster.cli("kill", trapper).returncode == 0
        assert cluster.wait_for(trapper, "KILLED")["attempts"][-1]["exit"]["code"] == 5
        if first == "old":  # it still has a job
            wait_until(lambda: shown(cluster)["keeper_release"] == "0.1.0", what="the keeper's release is shown")
            assert (
                "(its keeper: 0.1.0, until its jobs have ended)" in cluster.cli("status", shown(cluster)["id"]).stdout
            )
            assert keeper == keepers(cluster)
        flag.touch()
        assert cluster.wait_for(kept, "FAILED")["attempts"][-1]["exit"]["code"] == 7
        if first == "old":  # now it has none
            wait_until(lambda: shown(cluster)["keeper_release"] == "", what="the keeper is renewed")
            (renewed,) = keepers(cluster)
            assert renewed not in keeper
            assert old not in cluster.processes()[renewed]
            assert cluster.wait_for(cluster.submit("/bin/true"), "FINISHED")["attempts"][-1]["number"] == 1
            assert "the process keeper died" not in worker.text()
        assert "Traceback" not in worker.text()
