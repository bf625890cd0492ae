"""A master with full books: 1,000 workers registered over real sockets, and 10,000 waiting drivers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from tests.bench.common import TRUE, Settings, client_of, running, small
from tests.bench.proc import rss_mib
from tests.bench.table import Measure
from tests.support.cluster import STOKER
from tests.support.simulated_workers import crowd


def crowded(settings: Settings) -> Iterator[Measure]:
    """Measure ``stoker status``, as a command and by the API, and a submission, on such a master."""
    workers, drivers = settings.size(1000), settings.size(10_000)
    what = f"{drivers:,} queued, {workers:,} workers"
    with running(workers=0) as cluster, crowd(cluster, workers) as seconds, client_of(cluster) as client:
        yield Measure(f"{workers:,} workers register", "s", [seconds])
        client.submit_many([small(client, TRUE, cores=2)] * drivers)
        yield Measure(f"{what}: RSS, master", "MiB", [rss_mib(cluster.master.pid)])
        environ = {**cluster.environ, "MASTER": cluster.url}
        for name, words in (("stoker status", ["status"]), ("stoker status --json", ["status", "--json"])):
            measure = Measure(f"{what}: {name}", "s", target=0.5)
            for _ in range(settings.times(7)):
                start = time.monotonic()
                subprocess.run([*STOKER, *words], env=environ, stdout=subprocess.DEVNULL, check=True)
                measure.values.append(time.monotonic() - start)
            yield measure
        view = Measure(f"{what}: status by API", "s", target=0.5)
        submit = Measure(f"{what}: submit", "ms")
        driver = small(client, TRUE, cores=2)
        for _ in range(settings.times(15)):
            start = time.monotonic()
            found = client.cluster()
            view.values.append(time.monotonic() - start)
            assert len(found.workers) == workers and len(found.active_drivers) >= drivers
            start = time.monotonic()
            client.submit(driver)
            submit.values.append((time.monotonic() - start) * 1000)
        yield view
        yield submit
