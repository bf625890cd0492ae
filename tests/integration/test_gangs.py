"""Gangs on a real cluster of several workers: all executors at once, or none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster

POOLS = "pools: {default: {}}\nscheduler: {reserve_after: 1s, reserved_share: 1.0}\n"
SIZES = ("--executor-cores", "1", "--executor-memory", "10m")


def test_a_gang_waits_for_all_its_places_and_keeps_later_jobs_off_them(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "pools.yml").write_text(POOLS)
    with Cluster(tmp_path, workers=3, cores=2) as cluster:
        sleeper = cluster.script("sleep.sh", "#!/bin/sh\nexec sleep 600\n")
        busy = cluster.submit("--driver-memory", "10m", sleeper)
        cluster.wait_for(busy, "RUNNING")
        gang = ("run", "--min-executors", "6", "--total-executor-cores", "6", *SIZES)
        dry = cluster.cli(*gang, "--dry-run", "--", "true")
        assert dry.returncode == 3 and "needs 6 executors at once, 5 fit now" in dry.stdout, dry
        asked = time.monotonic()
        running = cluster.start_cli(*gang, "--label", "--", "sh", "-c", "date +%s.%N")
        (app,) = wait_until(lambda: cluster.status()["active_apps"], what="the gang is registered")
        told = cluster.cli("explain", app["id"]).stdout
        assert "needs 6 executors at once, 5 fit now" in told and "would help: '--min-executors 5'" in told, told
        assert json.loads(cluster.cli("status", "--json", app["id"]).stdout)["executors"] == []
        wait_until(lambda: time.monotonic() > asked + 1.5, what="the gang is due")
        late = cluster.submit("--driver-memory", "10m", cluster.script("true.sh", "#!/bin/sh\nexit 0\n"))
        wait_until(lambda: "reserved for" in cluster.cli("explain", late).stdout, what="the room is the gang's")
        assert cluster.cli("kill", busy).returncode == 0
        out, err = running.communicate(timeout=30)
        assert running.returncode == 0, err
        assert sorted(line.split(":")[0] for line in out.splitlines()) == list("012345")
        cluster.wait_for(late, "FINISHED")
        refused = cluster.cli("run", "--min-executors", "4", "--total-executor-cores", "3", *SIZES, "--", "true")
        assert refused.returncode != 0 and "4 executors at once, each with 1, need 4 cores" in refused.stderr, refused
