"""Drivers: how soon one starts, how many run a second, and what ten thousand of them leave behind."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

from stoker.client.api import Client
from stoker.core.model.values import DriverDescription
from tests.bench import peers
from tests.bench.common import CLOCK, TRUE, Settings, client_of, folder, running, small
from tests.bench.peers import Asker
from tests.bench.proc import Use, rss_mib, until
from tests.bench.table import Measure
from tests.support.cluster import STOKER, Cluster, free_port

WARM_UP = 300  # drivers


def latency(settings: Settings) -> Iterator[Measure]:
    """Measure from the API call to the clock of the started program, which is already in the workers' caches."""
    measure = Measure("API submit -> program's clock", "ms", target=5)
    count = settings.times(12)
    with running() as cluster, client_of(cluster) as client, _peers(settings) as (hyperqueue, dask):
        driver = small(client, *CLOCK)
        for _ in range(3):
            _run(client, driver)
        for _ in range(5):
            measure.values += [1000 * _run(client, driver) for _ in range(count)]
            if hyperqueue is not None:
                measure.hyperqueue += [1000 * value for value in hyperqueue.ask("latency", count)]
            if dask is not None:
                measure.dask += [1000 * value for value in dask.ask("latency", count)]
        yield measure
        yield _command(cluster, settings)


def _run(client: Client, driver: DriverDescription) -> float:
    start = time.time()
    watched = client.submit_watched(driver)
    client.wait(watched)
    return float(client.read_log(watched.id)) - start


def _command(cluster: Cluster, settings: Settings) -> Measure:
    """Measure from the start of the command until it prints the first byte of the program's output."""
    measure = Measure("stoker submit --wait -> first output", "s", target=0.2)
    words = [*STOKER, "submit", "--wait", "--driver-memory", "64m", *CLOCK]
    environ = {**cluster.environ, "MASTER": cluster.url}
    for _ in range(settings.times(11)):
        start = time.monotonic()
        with subprocess.Popen(
            words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        ) as process:
            assert process.stdout is not None and process.stdout.read(1)
            measure.values.append(time.monotonic() - start)
    return measure


def rates(settings: Settings) -> Iterator[Measure]:
    """Measure rounds of no-op drivers: Stoker's and its peers' in turn."""
    finished = Measure("finished no-op drivers", "1/s", rate=True, beat_hyperqueue=True)
    accepted = Measure("accepted submissions", "1/s", rate=True, beat_hyperqueue=True)
    count = settings.size(1000)
    with running() as cluster, client_of(cluster) as client, _peers(settings) as (hyperqueue, dask):
        driver = small(client, TRUE)
        round_of(client, driver, WARM_UP)
        for _ in range(settings.times(7)):
            taken, done = round_of(client, driver, count)
            accepted.values.append(taken)
            finished.values.append(done)
            if hyperqueue is not None:
                found = hyperqueue.ask("rate", count)
                accepted.hyperqueue.append(found["accepted"])
                finished.hyperqueue.append(found["finished"])
            if dask is not None:
                finished.dask.append(dask.ask("rate", count // 2)["finished"])
    yield finished
    yield accepted
    yield _durable(settings)


def _durable(settings: Settings) -> Measure:
    measure = Measure("accepted, each on disk first", "1/s", rate=True, note="recoveryMode FILESYSTEM, drivers wait")
    count = settings.size(1000)
    with folder() as home:
        properties = {
            "spark.deploy.recoveryMode": "FILESYSTEM",
            "spark.deploy.recoveryDirectory": str(home / "recovery"),
        }
        with (
            Cluster(home, workers=1, cores=1, memory="1g", properties=properties) as cluster,
            client_of(cluster) as client,
        ):
            driver = small(client, TRUE, cores=2)
            client.submit(driver)
            for _ in range(5):
                start = time.monotonic()
                client.submit_many([driver] * count)
                measure.values.append(count / (time.monotonic() - start))
    return measure


def round_of(client: Client, driver: DriverDescription, count: int) -> tuple[float, float]:
    """Return accepted and finished drivers per second."""
    start = time.monotonic()
    ids = client.submit_many([driver] * count)
    accepted = time.monotonic()
    client.wait(ids[-1])
    until(lambda: not client.cluster().active_drivers)
    end = time.monotonic()
    return count / (accepted - start), count / (end - start)


def many(settings: Settings) -> Iterator[Measure]:
    """Measure the cost of ten thousand drivers, and what they leave behind. The same cluster has had as many drivers in its
    queue before, because memory that the queue took once is not a leak."""
    count = settings.size(10_000)
    what = f"{count:,} drivers"
    with running() as cluster, client_of(cluster) as client:
        driver = small(client, TRUE)
        fresh = rss_mib(cluster.master.pid)
        round_of(client, driver, count)
        yield Measure(f"{what}, the first: RSS growth, master", "MiB", [rss_mib(cluster.master.pid) - fresh])
        daemons = cluster.processes()
        before = {pid: Use.of(pid) for pid in daemons}
        _, rate = round_of(client, driver, count)
        after = {pid: Use.of(pid) for pid in daemons}
        yield Measure(f"{what} more: rate", "1/s", [rate], rate=True)
        for kind in ("master", "worker", "keeper"):
            pids = [pid for pid, command in daemons.items() if _kind(command) == kind]
            growth = [after[pid].rss_mib - before[pid].rss_mib for pid in pids]
            cpu = sum(after[pid].cpu_s - before[pid].cpu_s for pid in pids) / count
            yield Measure(f"{what} more: RSS growth, {kind}", "MiB", growth, target=2)
            yield Measure(f"{what} more: CPU each, {kind}", "ms", [1000 * cpu])
        opened = [float(after[pid].descriptors - before[pid].descriptors) for pid in daemons]
        yield Measure(f"{what} more: descriptors left open", "", [max(opened)], target=0)
        left = set(cluster.processes()) - set(daemons)
        yield Measure(f"{what} more: processes left", "", [float(len(left))], target=0)


def _kind(command: str) -> str:
    return "keeper" if "keeper.py" in command else "master" if " master " in command else "worker"


@contextlib.contextmanager
def _peers(settings: Settings) -> Iterator[tuple[Asker | None, Asker | None]]:
    """Start HyperQueue and Dask, each with two one-core workers; they are idle until asked."""
    with contextlib.ExitStack() as stack:
        hyperqueue = dask = None
        if settings.peers.hyperqueue is not None:
            server = stack.enter_context(peers.start(settings.peers.hyperqueue, "hyperqueue_server.py"))
            asker = peers.start(settings.peers.hyperqueue, "hyperqueue_client.py", server.hear())
            hyperqueue = stack.enter_context(asker)
            hyperqueue.hear()
            hyperqueue.ask("rate", WARM_UP)
        if settings.peers.dask is not None:
            dask = stack.enter_context(peers.start(settings.peers.dask, "dask_cluster.py", free_port()))
            dask.hear()
        yield hyperqueue, dask
