"""Daemons: their start, their size, and ``kill -9``."""

from __future__ import annotations

import time
from collections.abc import Iterator

from stoker.client.api import Client
from stoker.core.model.states import MasterState, WorkerState
from tests.bench import peers
from tests.bench.common import Settings, client_of, folder, running, small
from tests.bench.proc import rss_mib, until
from tests.bench.table import Measure
from tests.support.cluster import Cluster, free_port


def cold_start(settings: Settings) -> Iterator[Measure]:
    """Start three daemons at once, on a machine without keys; measure until the second worker is registered."""
    measure = Measure("cold start, master + 2 workers", "s", target=0.5)
    for _ in range(settings.times(9)):
        with folder() as home:
            measure.values.append(_cold_start(Cluster(home, workers=2, cores=1, memory="1g")))
        if settings.peers.dask is not None and len(measure.dask) < 3:
            with peers.start(settings.peers.dask, "dask_cluster.py", free_port(), "once") as peer:
                measure.dask.append(peer.hear())
    yield measure


def _cold_start(cluster: Cluster) -> float:
    start = time.monotonic()
    try:
        for daemon in (cluster.master, *cluster.worker):
            daemon.start()
        until(lambda: cluster.registrations() >= 2)
        return time.monotonic() - start
    finally:
        cluster.stop(check=False)


def idle_size(settings: Settings) -> Iterator[Measure]:
    """Measure memory two seconds after the start: of master, worker, and the keeper between a worker and its jobs."""
    master, worker = Measure("idle RSS, master", "MiB", target=50), Measure("idle RSS, worker", "MiB", target=40)
    keeper = Measure("idle RSS, its keeper", "MiB")
    for _ in range(3):
        with running() as cluster:
            time.sleep(2)
            master.values.append(rss_mib(cluster.master.pid))
            for pid, command in cluster.processes().items():
                if "keeper.py" in command:
                    keeper.values.append(rss_mib(pid))
                elif " worker " in command:
                    worker.values.append(rss_mib(pid))
    yield from (master, worker, keeper)


def killed_worker(settings: Settings) -> Iterator[Measure]:
    """Measure from ``kill -9`` until a client that asks continuously receives the state DEAD."""
    measure = Measure("kill -9 of a worker: noticed", "ms", target=100)
    for _ in range(settings.times(5)):
        with running() as cluster, client_of(cluster) as client:
            client.cluster()
            start = time.monotonic()
            cluster.worker[0].kill()
            until(lambda: any(w.state is WorkerState.DEAD for w in client.cluster().workers), every=0)
            measure.values.append((time.monotonic() - start) * 1000)
    yield measure


def restart(settings: Settings) -> Iterator[Measure]:
    """Kill a FILESYSTEM master; measure from the start of a new one until it is ALIVE with both workers."""
    yield _restart(settings, 0)
    yield _restart(settings, settings.size(10_000))


def _restart(settings: Settings, waiting: int) -> Measure:
    name = "FILESYSTEM master restarts" + (f", {waiting:,} drivers queued" if waiting else "")
    measure = Measure(f"{name}", "s")
    with folder() as home:
        properties = {
            "spark.deploy.recoveryMode": "FILESYSTEM",
            "spark.deploy.recoveryDirectory": str(home / "recovery"),
        }
        with Cluster(home, workers=2, cores=1, memory="1g", properties=properties) as cluster:
            if waiting:
                with client_of(cluster) as client:
                    client.submit_many([small(client, "/usr/bin/true", cores=2)] * waiting)
            for _ in range(settings.times(5)):
                cluster.master.kill()
                start = time.monotonic()
                cluster.master.start()
                with client_of(cluster) as client:
                    until(lambda: _is_whole(client))
                    measure.values.append(time.monotonic() - start)
                    assert len(client.cluster().active_drivers) == waiting
    return measure


def _is_whole(client: Client) -> bool:
    view = client.cluster()
    alive = [worker for worker in view.workers if worker.state is WorkerState.ALIVE]
    return view.state is MasterState.ALIVE and len(alive) == 2
