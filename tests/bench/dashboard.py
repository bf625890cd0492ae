"""The cost of the dashboard: its pages over HTTP, for small and large clusters, and a master with 200 open dashboards."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from email.message import Message

from stoker.core.model.states import DriverState
from stoker.core.model.views import ClusterView
from stoker.web.master import make_app
from stoker.web.serve import LazyWebServer
from tests.bench.common import TRUE, Settings, client_of, running, small
from tests.bench.proc import cpu_seconds
from tests.bench.table import Measure
from tests.support.simulated_workers import crowd
from tests.support.web import Control, cluster_view, driver_view, worker_view

HOST = "127.0.0.1"
OPEN = 200  # dashboards
LOOKS = 2.0  # seconds between two requests of a dashboard, on a busy cluster (web/static/live.js)
IDLE_LOOKS = 6.0  # the same, on a cluster in which nothing changes
CHARTS = 30.0  # seconds between two requests for samples (web/static/charts.js)


def dashboards(settings: Settings) -> Iterator[Measure]:
    for count, target in ((100, 5.0), (10_000, 100.0)):
        yield from _page(settings, count, target)
    yield from _many_open(settings)


def _page(settings: Settings, count: int, target: float) -> Iterator[Measure]:
    """Measure the overview of ``count`` workers, and ``count`` drivers each of running, waiting and ended ones."""
    what = f"/ with {count:,} workers, {3 * count:,} drivers"
    with ExitStack() as stack:
        views = [_cluster(count, epoch) for epoch in range(2)]
        current = views[0]
        server = LazyWebServer(HOST, 0, lambda: make_app(lambda: current, Control()))
        server.start()
        stack.callback(server.close)
        _get(server.port, "/")  # loads Flask
        same, new, json = (
            Measure(f"{what}: the same", "ms", target=target),
            Measure(f"{what}: changed", "ms", target=target),
            Measure(f"/json/ with {count:,} workers", "ms", target=5.0 if count == 100 else None),
        )
        for number in range(settings.times(21)):
            current = views[number % 2]
            new.values.append(_timed(server.port, "/"))
            same.values.append(_timed(server.port, "/"))
            json.values.append(_timed(server.port, "/json/"))
        yield new
        yield same
        yield json
        yield Measure(f"{what}: size", "kB", [len(_get(server.port, "/")[1]) / 1000], target=300)


def _cluster(count: int, epoch: int) -> ClusterView:
    states = (DriverState.RUNNING, DriverState.SUBMITTED, DriverState.KILLED)
    drivers = [
        tuple(driver_view(count * at + number, state=state) for number in range(count))
        for at, state in enumerate(states)
    ]
    workers = tuple(worker_view(number, cores_used=number % 9) for number in range(count))
    return cluster_view(
        workers=workers, active_drivers=(*drivers[0], *drivers[1]), completed_drivers=drivers[2], epoch=epoch
    )


def _many_open(settings: Settings) -> Iterator[Measure]:
    """Measure a real master with 100 workers that receives the requests of ``OPEN`` dashboards, on persistent connections."""
    seconds = settings.size(20)
    with running(workers=0) as cluster, crowd(cluster, 100), client_of(cluster) as client:
        port, pid = cluster.webui_port, cluster.master.pid
        before = _share(pid, seconds)
        with _Browsers(port, OPEN, every=IDLE_LOOKS):
            quiet = _share(pid, seconds) - before
        with _Browsers(port, OPEN, every=LOOKS):
            start, cpu = time.monotonic(), cpu_seconds(pid)
            while time.monotonic() < start + seconds:
                client.submit(small(client, TRUE, cores=2))
                time.sleep(1.0)
            changing = 100 * (cpu_seconds(pid) - cpu) / (time.monotonic() - start) - before
    yield Measure(f"{OPEN} dashboards open, nothing happens", "% of a core", [quiet], target=10)
    yield Measure(f"{OPEN} dashboards open, a change each second", "% of a core", [changing], target=10)


def _share(pid: int, seconds: float) -> float:
    """Return the CPU that the process uses, in percent of a core."""
    cpu, start = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(pid) - cpu) / (time.monotonic() - start)


class _Browsers:
    """``count`` dashboards, each with its own connection, that send a request every ``every`` seconds, spread evenly."""

    def __init__(self, port: int, count: int, *, every: float) -> None:
        self._connections = [http.client.HTTPConnection(HOST, port, timeout=20) for _ in range(count)]
        self._tags = [""] * count
        self._cookies = [""] * count
        self._since = ""
        self._every = every
        self._pause = every / count
        self._charts_every = max(1, round(CHARTS / every))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        for number in range(len(self._connections)):
            self._look(number)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _run(self) -> None:
        turn, due = 0, time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._pause
            number = turn % len(self._connections)
            self._look(number)
            if (turn // len(self._connections) + number) % self._charts_every == 0:
                self._ask(number, f"/history/?since={time.time() - CHARTS}", {})
            turn += 1

    def _look(self, number: int) -> None:
        headers = {"If-None-Match": self._tags[number], "Cookie": self._cookies[number]} if self._tags[number] else {}
        found = self._ask(number, "/", headers)
        self._tags[number] = found.get("ETag", self._tags[number])
        if "Set-Cookie" in found:
            self._cookies[number] = found["Set-Cookie"].partition(";")[0]
        self._pause = max(self._every, float(found["Look-After"])) / len(self._connections)

    def _ask(self, number: int, path: str, headers: dict[str, str]) -> Message:
        connection = self._connections[number]
        connection.request("GET", path, headers={"Connection": "keep-alive", **headers})
        response = connection.getresponse()
        response.read()
        assert response.status in {200, 304}, response.status
        return response.headers


def _timed(port: int, path: str) -> float:
    start = time.perf_counter()
    status, _ = _get(port, path)
    assert status == 200
    return (time.perf_counter() - start) * 1000


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body
