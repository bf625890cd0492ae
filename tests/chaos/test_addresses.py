"""No address of a named resource has two holders: real jobs on four addresses, with kills of jobs that ignore TERM, of the
master and of the worker's daemon. ``STOKER_JOBS`` is how many jobs (1,000 take 40 s on an idle machine)."""

from __future__ import annotations

import json
import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from stoker.client.api import Client
from stoker.core.model.states import DriverState
from stoker.core.model.values import Artifact, DriverDescription
from stoker.errors import StokerError
from tests.support.cluster import Cluster
from tests.support.wait import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

JOBS = int(os.environ.get("STOKER_JOBS", "60"))
# The lock of an address is free once the last process of its holder has gone.
JOB = """#!/bin/sh
trap '' TERM
exec 9>"$1/$CUDA_VISIBLE_DEVICES"
flock -n 9 || echo "$STOKER_DRIVER_ID $CUDA_VISIBLE_DEVICES" >> "$1/double"
sleep "$2"
"""


def test_an_address_has_one_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    locks = tmp_path / "locks"
    locks.mkdir()
    entry = {"id": {"componentName": "spark.worker", "resourceName": "gpu"}, "addresses": ["0", "1", "2", "3"]}
    (tmp_path / "gpus.json").write_text(json.dumps([entry]))
    properties = {
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(tmp_path / "records"),
        "spark.deploy.retainedDrivers": str(JOBS),
        "spark.worker.driverTerminateTimeout": "300ms",
        "spark.worker.resourcesFile": str(tmp_path / "gpus.json"),
    }
    with Cluster(tmp_path / "home", cores=16, memory="16g", properties=properties) as cluster:
        for name, value in cluster.environ.items():
            monkeypatch.setenv(name, value)
        job = Artifact(name="job", url=f"file:{cluster.script('job', JOB)}", executable=True)
        ids: list[str] = []
        with Client(cluster.url, timeout=60) as client:
            for number in range(JOBS):
                driver = DriverDescription(
                    kind="program", main="job", artifacts=(job,), memory_mib=16, supervise=rng.random() < 0.2,
                    args=(str(locks), rng.choice(("0.01", "0.01", "0.05", "0.4"))), resources=(("gpu", 1),),
                )  # fmt: skip
                ids.append(client.submit(driver))
                if number % 5 == 4:
                    _kill_one(client, ids, rng)
                if number in (JOBS // 3, 2 * JOBS // 3):
                    cluster.master.kill(signal.SIGKILL)
                    cluster.master.start()
                if number == JOBS // 2:
                    cluster.worker[0].kill(signal.SIGKILL)
                    cluster.worker[0].start()
            wait_until(lambda: not client.cluster().active_drivers, within=500, what="the end of all jobs")
            view = client.cluster()
        assert {driver.id for driver in view.completed_drivers} == set(ids)
        assert {driver.state for driver in view.completed_drivers} <= {DriverState.FINISHED, DriverState.KILLED}
        assert not (locks / "double").exists(), (locks / "double").read_text()
        assert {path.name for path in locks.iterdir()} == {"0", "1", "2", "3"}
        assert all(worker.resources_used == () for worker in view.workers)


def _kill_one(client: Client, ids: list[str], rng: random.Random) -> None:
    """Kill a running job if there is one, else one of the latest, which may have ended."""
    running = [driver.id for driver in client.cluster().active_drivers if driver.state is DriverState.RUNNING]
    with suppress(StokerError):
        client.kill(rng.choice(running or ids[-40:]))
