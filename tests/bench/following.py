"""Followed output: its cost while no output comes, and the delay of a line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.common import Settings, client_of, folder
from tests.bench.proc import cpu_seconds, until
from tests.bench.table import Measure
from tests.support.cluster import Cluster

WORKERS = 4
LINES = "import time\nfor _ in range({count}): print(repr(time.time()), flush=True); time.sleep(0.05)"


def following(settings: Settings) -> Iterator[Measure]:
    with folder() as home, Cluster(home, workers=WORKERS, cores=50, memory="100g") as cluster:
        yield from _latency(cluster, settings.size(200))
        yield from _idle(cluster, settings.size(200), seconds=40)


def _latency(cluster: Cluster, lines: int) -> Iterator[Measure]:
    """Measure from the program's clock before it prints a line until ``stoker logs -f`` prints that line."""
    measure = Measure("a line written, to `stoker logs -f` showing it", "ms")
    with client_of(cluster) as client:
        job = client.submit(client.describe(sys.executable, "-c", LINES.format(count=lines), memory=64))
    follower = cluster.start_cli("logs", "-f", job)
    assert follower.stdout is not None
    for line in follower.stdout:
        measure.values.append((time.time() - float(line)) * 1000)
    assert follower.wait() == 0
    del measure.values[:20]  # written before the follower started
    yield measure


def _idle(cluster: Cluster, executors: int, *, seconds: float) -> Iterator[Measure]:
    """Measure ``stoker run`` with executors that print nothing: CPU of client, master and workers, in percent of one core."""
    words = ("--total-executor-cores", str(executors), "--executor-cores", "1", "--executor-memory", "64m")
    run = cluster.start_cli("run", *words, "--", "sleep", "600")
    try:
        until(lambda: len(list(Path(cluster.work).glob("app-*/*/stderr"))) >= executors, within=60, every=0.1)
        time.sleep(3)
        groups = {
            "its workers": [worker.pid for worker in cluster.worker],
            "the master": [cluster.master.pid],
            "the client": [run.pid],
        }
        before = {name: sum(map(cpu_seconds, pids)) for name, pids in groups.items()}
        time.sleep(seconds)
        for name, pids in groups.items():
            used = sum(map(cpu_seconds, pids)) - before[name]
            yield Measure(
                f"{executors} idle executors followed, CPU of {name}",
                "% of a core",
                target=2 if name == "its workers" else None,
                values=[100 * used / seconds],
            )
    finally:
        run.terminate()
        run.wait(30)
