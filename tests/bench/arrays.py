"""An array of 1,000,000 tasks on a real master: what its submission, its memory, its status and its tasks cost (ADR 28)."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stoker.core.model.arrays.indices import MOST_TASKS
from tests.bench.common import TRUE, Settings, client_of, folder, running, small
from tests.bench.proc import rss_mib
from tests.bench.table import Measure


def arrays(settings: Settings) -> Iterator[Measure]:
    """Measure acceptance, memory, status and page of a large array; and how fast the tasks of one run, with the writes."""
    tasks = settings.size(MOST_TASKS)
    what = f"an array of {tasks:,} tasks"
    with folder() as records, running(workers=1, **_durable(records)) as cluster, client_of(cluster) as client:
        driver = msgspec.structs.replace(small(client, TRUE, cores=2), array=f"0-{tasks - 1}")  # fits nowhere
        client.submit(msgspec.structs.replace(driver, array="0-9"))
        accepted = Measure(f"{what}: accepted", "ms", target=50)
        memory = Measure(f"{what}: memory of the master", "MiB", target=50)
        for _ in range(5):
            before, start = rss_mib(cluster.master.pid), time.monotonic()
            array_id = client.submit(driver)
            accepted.values.append(1000 * (time.monotonic() - start))
            client.status(array_id)
            memory.values.append(rss_mib(cluster.master.pid) - before)
        yield from (accepted, memory)
        status = Measure(f"{what}: status by API", "ms", target=50)
        page = Measure(f"{what}: its page", "ms", target=50)
        url = f"http://127.0.0.1:{cluster.webui_port}/driver/?driverId={array_id}"
        for _ in range(settings.times(15)):
            start = time.monotonic()
            client.status(array_id)
            status.values.append(1000 * (time.monotonic() - start))
            start = time.monotonic()
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert array_id in answer.read().decode()
            page.values.append(1000 * (time.monotonic() - start))
        yield from (status, page)
        killed = Measure(f"{what}: killed", "ms")
        start = time.monotonic()
        client.kill(array_id)
        killed.values.append(1000 * (time.monotonic() - start))
        yield killed
    yield from _run(settings)


def _run(settings: Settings) -> Iterator[Measure]:
    """Run an array of no-ops and as many drivers, with records on disk."""
    count = settings.size(1000)
    tasks = Measure(f"{count:,} no-ops as one array, recorded", "1/s", rate=True)
    drivers = Measure(f"{count:,} no-ops as drivers, recorded", "1/s", rate=True)
    with folder() as records, running(workers=4, **_durable(records)) as cluster, client_of(cluster) as client:
        driver = small(client, TRUE)
        array = msgspec.structs.replace(driver, array=f"1-{count}")
        for _ in range(settings.times(3)):
            start = time.monotonic()
            array_id = client.submit(array)
            client.wait(array_id, timeout=300)
            tasks.values.append(count / (time.monotonic() - start))
            start = time.monotonic()
            ids = client.submit_many([driver] * count)
            client.wait(ids[-1], timeout=300)
            drivers.values.append(count / (time.monotonic() - start))
    yield from (tasks, drivers)


def _durable(records: Path) -> dict[str, str]:
    return {"spark.deploy.recoveryMode": "FILESYSTEM", "spark.deploy.recoveryDirectory": str(records)}
