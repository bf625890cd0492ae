"""Hold, release and change on a real cluster, over a killed master."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.wait import wait_until

pytestmark = pytest.mark.cluster


def post(cluster: Cluster, path: str, body: dict[str, Any] | None = None) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{cluster.webui_port}/api/v1{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["message"])


def test_held_driver_survives_the_master_and_starts_when_it_is_released(tmp_path: Path) -> None:
    durable = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(tmp_path / "records")}
    with Cluster(tmp_path, properties=durable) as cluster:
        script = cluster.script("job.sh", "#!/bin/sh\necho done\n")
        held, free = cluster.submit("--hold", script), cluster.submit(script)
        cluster.wait_for(free, "FINISHED")
        assert cluster.status(held)["state"] == "SUBMITTED"
        assert f"'stoker release {held}' lets it go on" in cluster.cli("status", held).stdout
        assert f"would help: 'stoker release {held}'" in cluster.cli("explain", held).stdout
        cluster.master.kill()
        cluster.master.start()
        wait_until(lambda: cluster.registrations() >= 1, what="the worker is back")
        changed = cluster.cli("update", "--priority", "-1", "--time-limit", "1h", held)
        assert changed.stdout == f"{held} has now priority -1, time limit 1 h\n", changed
        assert cluster.status(held)["hold"]["door"] == "cli"
        refused = cluster.cli("update", "--time-limit", "0", held)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1) and "not a time limit" in refused.stderr
        assert cluster.cli("hold", free).stderr == f"stoker: {free} has already finished or does not exist\n"
        assert post(cluster, f"/drivers/{held}/update", {"priority": -2}) == f"{held} has now priority -2"
        assert post(cluster, f"/drivers/{held}/release") == f"{held} is released"
        assert cluster.wait_for(held, "FINISHED")["priority"] == -2
        trail = (cluster.state / "audit.log").read_text()
        done = [line for line in trail.splitlines() if "result=done" in line]
        for action, door in (("update", "cli"), ("update", "http"), ("release", "http")):
            assert len([line for line in done if f"action={action} " in line and f"door={door}" in line]) == 1, trail
        assert f"action=hold target={free}" in trail


def test_held_application_gets_no_further_executors(tmp_path: Path) -> None:
    with Cluster(tmp_path, cores=1) as cluster:
        cluster.submit(cluster.script("busy.sh", "#!/bin/sh\nexec sleep 600\n"))
        running = cluster.start_cli("run", "--total-executor-cores", "1", "--", "echo", "executor")
        app_id = wait_until(lambda: cluster.status()["active_apps"], what="it registers")[0]["id"]
        assert cluster.cli("hold", app_id).stdout == f"{app_id} is held: it gets no further executors\n"
        [driver] = cluster.status()["active_drivers"]
        assert cluster.cli("kill", driver["id"]).returncode == 0
        assert f"'stoker release {app_id}' lets it go on" in cluster.cli("status", app_id).stdout
        assert not cluster.status(app_id).get("executors")
        assert cluster.cli("release", app_id).returncode == 0
        assert running.communicate(timeout=30)[0] == "executor\n"


def test_chain_of_drivers_over_a_killed_master(tmp_path: Path) -> None:
    durable = {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(tmp_path / "records")}
    with Cluster(tmp_path, properties=durable) as cluster:
        gate = tmp_path / "gate"
        first = cluster.submit(
            cluster.script("first.sh", f"#!/bin/sh\nwhile [ ! -e {gate} ]; do sleep 0.05; done\nexit 3\n")
        )
        job = cluster.script("job.sh", "#!/bin/sh\necho done\n")
        never = cluster.submit("--after", first, job)
        clean_up, last = cluster.submit("--after", f"{first}:failed", job), ""
        last = cluster.submit("--after", f"{first},{clean_up}:any", job)
        assert f"refused: it starts after {first} (RUNNING)" in cluster.cli("explain", never).stdout
        cluster.master.kill()
        cluster.master.start()
        cluster.wait_for(first, "RUNNING")
        gate.touch()
        assert cluster.wait_for(never, "KILLED")["reason"] == (
            f"{first} is FAILED, and it was to start only if that finishes"
        )
        for job_id in (clean_up, last):
            assert cluster.wait_for(job_id, "FINISHED")["after"][0] == first
        wrong = {
            "driver-20260101000000-0000": "there is no driver driver-20260101000000-0000 to wait for",
            "driver-1": "'driver-1' is not the id of a driver",
            f"{first}:maybe": "'maybe' is not ok, any or failed",
            ":any": "name the drivers to wait for",
        }
        for text, why in wrong.items():
            refused = cluster.cli("submit", "--after", text, job)
            assert refused.returncode and refused.stderr.count("\n") == 1 and why in refused.stderr, refused
