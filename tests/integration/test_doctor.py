"""stoker doctor on a real cluster."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster


def examined(cluster: Cluster, *words: str) -> dict[str, list[dict[str, Any]]]:
    done = cluster.cli("doctor", "--json", *words)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in document["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    problems = [finding for finding in document["findings"] if finding["level"] == "problem"]
    assert done.returncode == bool(problems), problems
    return found


def test_a_cluster_that_is_well_and_then_is_not(tmp_path: Path) -> None:
    with Cluster(tmp_path, workers=2) as cluster:
        found = examined(cluster)
        for check in ("leader", "versions", "workers", "masters", "addresses", "clock", "keys"):
            assert "problem" not in {finding["level"] for finding in found[check]}, found[check]
        assert found["workers"][0]["found"] == "2 of 2 get new jobs"
        assert examined(cluster, "127.0.0.1")["workers"][0]["found"] == "2 of 2 get new jobs"
        both = examined(cluster, "127.0.0.1", "nosuch.invalid")["workers"]
        assert [finding["found"] for finding in both] == [
            "the master knows no worker at nosuch.invalid",
            "2 of 2 get new jobs",
        ]
        assert "knows no worker at nosuch.invalid" in examined(cluster, "nosuch.invalid")["workers"][0]["found"]

        cluster.cli("drain", cluster.status()["workers"][0]["id"])
        cluster.worker[1].kill(signal.SIGKILL)
        wait_until(lambda: cluster.status()["live_workers"] < 2, what="the master knows that the worker is dead")
        (cluster.home / "conf" / "keys" / "private" / "client.key").chmod(0o644)
        assert "chmod" in examined(cluster)["keys"][0]["found"]
        (cluster.home / "conf" / "keys" / "private" / "client.key").chmod(0o600)
        levels = {finding["level"] for finding in examined(cluster)["workers"]}
        assert {"problem", "warning"} & levels

        cluster.master.kill()
        found = examined(cluster, "--timeout", "1s")
        assert "Connection refused" in found["masters"][0]["found"]
        assert found["leader"][0]["level"] == "problem"
        cluster.master.start()
