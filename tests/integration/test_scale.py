"""Thousands of drivers, hundreds of workers: none is lost, none is left over, and the master still answers."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import pytest

from stoker.client.api import Client
from stoker.config.client import client_config
from stoker.core.model.states import DriverState, WorkerState
from tests.support.cluster import Cluster
from tests.support.simulated_workers import crowd
from tests.support.wait import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

DRIVERS = 2000
WORKERS = 200
SLACK = 3  # descriptors that a probe from outside or a page may hold for a moment


def client_of(cluster: Cluster) -> Client:
    return Client(config=client_config(argparse.Namespace(master=cluster.url), cluster.environ))


def descriptors(pids: dict[int, str]) -> dict[int, int]:
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in pids}


def test_every_one_of_two_thousand_drivers_runs_once_and_leaves_nothing(tmp_path: Path) -> None:
    kept = {"spark.deploy.retainedDrivers": str(2 * DRIVERS)}
    with Cluster(tmp_path, workers=2, cores=1, properties=kept) as cluster, client_of(cluster) as client:
        runs = tmp_path / "runs"
        runs.mkdir()
        program = cluster.script("leave-a-mark", '#!/bin/sh\n: > "$1/$STOKER_DRIVER_ID.$STOKER_ATTEMPT.$$"\n')
        driver = client.describe(program, str(runs), memory=64)
        client.wait(client.submit(driver))
        daemons = cluster.processes()
        before = descriptors(daemons)

        ids = client.submit_many([driver] * DRIVERS)
        assert len(set(ids)) == DRIVERS
        wait_until(lambda: not client.cluster().active_drivers, within=90, what="all drivers are over")

        view = client.cluster()
        ended = {found.id: found for found in view.completed_drivers}
        assert {ended[driver_id].state for driver_id in ids} == {DriverState.FINISHED}
        assert {len(ended[driver_id].attempts) for driver_id in ids} == {1}
        marks = sorted(mark.name.rsplit(".", 1)[0] for mark in runs.iterdir())
        assert marks == sorted(f"{driver_id}.1" for driver_id in ended), "a driver ran twice, or never"
        assert {(worker.cores_used, worker.memory_used_mib) for worker in view.workers} == {(0, 0)}

        wait_until(lambda: cluster.processes().keys() == daemons.keys(), what="only daemons and keepers are left")
        after = descriptors(daemons)
        assert {pid: (before[pid], count) for pid, count in after.items() if count > before[pid] + SLACK} == {}


def test_two_hundred_workers_register_and_status_answers(tmp_path: Path) -> None:
    with Cluster(tmp_path, workers=0) as cluster:
        with crowd(cluster, WORKERS), client_of(cluster) as client:
            client.submit_many([client.describe("/usr/bin/true", cores=2)] * DRIVERS)  # no worker has two cores
            start = time.monotonic()
            status = cluster.status()
            assert time.monotonic() - start < 10
            assert [worker["state"] for worker in status["workers"]] == ["ALIVE"] * WORKERS
            assert len(status["active_drivers"]) == DRIVERS
            assert {found["state"] for found in status["active_drivers"]} == {"SUBMITTED"}
        with client_of(cluster) as client:
            wait_until(
                lambda: {worker.state for worker in client.cluster().workers} == {WorkerState.DEAD},
                what="the master notices that all of them are gone",
            )
