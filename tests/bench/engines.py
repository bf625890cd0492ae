"""``stoker.connect().dask()``: the time to a first result, compared with Dask's own LocalCluster; and the most that
interpreters started in advance could save."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.bench.common import Settings, folder
from tests.bench.table import Measure
from tests.support.cluster import Cluster

_OURS = """
import json, time
import stoker
times = []
for _ in range(2):
    began = time.perf_counter()
    with stoker.connect(conf={"spark.cores.max": 1}) as app:
        assert app.dask().submit(abs, -1).result() == 1
        times.append(time.perf_counter() - began)
print(json.dumps(times))
"""
_THEIRS = """
import json, time
if __name__ == "__main__":
    times = []
    for _ in range(2):
        began = time.perf_counter()
        import distributed
        with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
            with distributed.Client(cluster) as client:
                assert client.submit(abs, -1).result() == 1
                times.append(time.perf_counter() - began)
    print(json.dumps(times))
"""
_IMPORT = """
import json, time
began = time.perf_counter()
import distributed.cli.dask_worker
print(json.dumps([time.perf_counter() - began]))
"""


def engines(settings: Settings) -> Iterator[Measure]:
    """Measure the programs in turns, each time in a new process."""
    first = Measure("connect() to a first result by Dask, `import distributed` included", "s", target=1.5)
    second = Measure("a second application of the same process", "s")
    local = Measure("the same first result by Dask's own LocalCluster", "s")
    imports = Measure("of which a worker's imports, all that a warm one would save", "s")
    with folder() as home, Cluster(home, cores=2, memory="4g") as cluster:
        for number in range(settings.times(9) + 1):
            ours, theirs, own = (_run(cluster, text) for text in (_OURS, _THEIRS, _IMPORT))
            if number:  # the first round reads Dask from disk
                first.values.append(ours[0])
                second.values.append(ours[1])
                local.values.append(theirs[0])
                imports.values.append(own[0])
    yield from (first, second, local, imports)


def _run(cluster: Cluster, text: str) -> list[float]:
    path = cluster.script("timed.py", text)
    environ = {**os.environ, **cluster.environ, "MASTER": cluster.url}
    done = subprocess.run([sys.executable, path], env=environ, capture_output=True, text=True, check=True, timeout=120)
    times: list[float] = json.loads(done.stdout.splitlines()[-1])
    return times
