"""The master's HTTP interfaces with 100 workers, over one connection; and the cost of 200 listeners to events."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
from collections.abc import Iterator

from tests.bench.common import Settings, running
from tests.bench.table import Measure
from tests.support.cluster import Cluster
from tests.support.simulated_workers import crowd

PATHS = {"/json/": 5.0, "/api/v1/cluster": None, "/api/v1/workers": None, "/metrics/prometheus": None}  # target in ms
LISTENERS = 200
WATCHED = 5.0  # seconds


def interfaces(settings: Settings) -> Iterator[Measure]:
    workers = 100
    with running(workers=0) as cluster, crowd(cluster, workers):
        connection = http.client.HTTPConnection("127.0.0.1", cluster.webui_port, timeout=30)
        for path, target in PATHS.items():
            measure = Measure(f"{workers} workers: GET {path}", "ms", target=target)
            _get(connection, path)
            for _ in range(settings.times(200)):
                start = time.perf_counter()
                _get(connection, path)
                measure.values.append((time.perf_counter() - start) * 1000)
            yield measure
        connection.close()
        yield _listeners(cluster)


def _get(connection: http.client.HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    assert response.status == 200, f"{path}: {response.status}"


def _listeners(cluster: Cluster) -> Measure:
    """Measure the master's CPU with listeners, in percent of a core."""
    with contextlib.ExitStack() as stack:
        for _ in range(LISTENERS):
            connection = stack.enter_context(
                contextlib.closing(http.client.HTTPConnection("127.0.0.1", cluster.webui_port, timeout=30))
            )
            connection.request("GET", "/api/v1/events")
            stack.enter_context(contextlib.closing(connection.getresponse()))
        before, start = _cpu_seconds(cluster.master.pid), time.monotonic()
        time.sleep(WATCHED)
        share = (_cpu_seconds(cluster.master.pid) - before) / (time.monotonic() - start) * 100
    return Measure(f"100 workers: {LISTENERS} listeners to events, CPU of the master", "%", [share], target=10.0)


def _cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
