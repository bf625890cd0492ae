"""Unmodified pyspark on Stoker's gateway and on Spark's own standalone daemons, in one run; and the gateway's cost."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.common import Settings, client_of, folder, running
from tests.bench.proc import cpu_seconds, rss_mib, until
from tests.bench.table import Measure
from tests.support.cluster import Cluster, free_port
from tests.support.spark import SparkJob, executor_pids, spark_environment

CONF = {"spark.cores.max": "1"}
TASKS = 500
# The usual measurements of Spark's own standalone daemons: an empty action, and tasks that do nothing.
PROGRAM = """
import json, sys, time
from pyspark.sql import SparkSession
url, tasks = sys.argv[1], int(sys.argv[2])
start = time.monotonic()
builder = SparkSession.builder.master(url).config("spark.driver.host", "127.0.0.1").config("spark.executor.memory", "768m")
spark = builder.config("spark.ui.port", "0").getOrCreate()
context = spark.sparkContext
assert context.parallelize([1], 1).count() == 1
measured = {"first_result": time.monotonic() - start}
if tasks:
    deadline = time.monotonic() + 60
    while len(context._jsc.sc().statusTracker().getExecutorInfos()) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)  # the driver is one of them
    context.parallelize(range(200), 200).map(lambda number: None).count()
    start = time.monotonic()
    assert context.parallelize(range(tasks), tasks).map(lambda number: None).count() == tasks
    measured["Python tasks"] = tasks / (time.monotonic() - start)
    java = context._jsc.sc()
    java.range(0, 1000, 1, 1000).count()
    start = time.monotonic()
    assert java.range(0, 10 * tasks, 1, 10 * tasks).count() == 10 * tasks
    measured["JVM tasks"] = 10 * tasks / (time.monotonic() - start)
print(json.dumps(measured), flush=True)
spark.stop()
"""


@dataclass
class SparksOwn:
    """Spark's own master and two of its one-core workers, from the ``pyspark`` package."""

    home: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = f"spark://127.0.0.1:{free_port()}"

    def __enter__(self) -> SparksOwn:
        port = self.url.rpartition(":")[2]
        self._start("master.Master", "--host", "127.0.0.1", "--port", port)
        until(lambda: "ALIVE" in self._log(0), within=120, every=0.05)
        for number in (1, 2):
            own = ["--host", "127.0.0.1", "--cores", "1", "--memory", "2g", "-d", str(self.home / f"work-{number}")]
            self._start("worker.Worker", *own, self.url)
        until(lambda: all("registered with master" in self._log(number) for number in (1, 2)), within=120, every=0.05)
        return self

    def _start(self, main: str, *words: str) -> None:
        environment = spark_environment(self)
        jars = f"{environment['SPARK_HOME']}/jars/*"
        core = next(Path(environment["SPARK_HOME"]).glob("jars/spark-core_*.jar"))
        environment["SPARK_SCALA_VERSION"] = core.name.split("_")[1].split("-")[0]  # as its start scripts do
        with (self.home / f"daemon-{len(self.processes)}.log").open("wb") as log:
            command = ["java", "-cp", jars, "-Xmx1g", f"org.apache.spark.deploy.{main}", "--webui-port", "0", *words]
            self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.home))

    def _log(self, number: int) -> str:
        return (self.home / f"daemon-{number}.log").read_text().replace("Successfully registered", "registered")

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def spark(settings: Settings) -> Iterator[Measure]:
    """Run the same program on both, in turns, each with a master and two one-core workers. Measure the time from the end of
    its imports to its first result, the tasks per second after that, and the memory of the daemons at the end."""
    if importlib.util.find_spec("pyspark") is None:
        print("spark: the package pyspark is not installed", file=sys.stderr)
        return
    ours, theirs = Measure("pyspark: connect to first result", "s"), Measure("the same on Spark's own daemons", "s")
    times = Measure("the first as a part of the second", "", target=0.8)
    rates = {
        name: Measure(f"{name} a second, as a multiple of Spark's own", "") for name in ("Python tasks", "JVM tasks")
    }
    memory = Measure("Stoker's daemons and keepers as a part of Spark's, RSS", "", target=0.2)
    properties = {"spark.stoker.gateway.enabled": "true"}
    with (
        folder() as home,
        folder() as other,
        SparksOwn(other) as standalone,
        Cluster(home, workers=2, cores=1, memory="2g", properties=properties) as cluster,
    ):
        for number in range(settings.times(5) + 1):
            pair = _program(cluster)["first_result"], _program(standalone)["first_result"]
            if not number:  # the first run reads 300 MB of jars from disk, without an archive of their classes
                _wait_for_preparations(cluster)
            else:
                ours.values.append(pair[0])
                theirs.values.append(pair[1])
                times.values.append(pair[0] / pair[1])
        for _ in range(settings.times(3)):
            seen, compared = _program(cluster, TASKS), _program(standalone, TASKS)
            for name, measure in rates.items():
                measure.values.append(seen[name] / compared[name])
        own = sum(rss_mib(pid) for pid in cluster.processes() if _is_a_daemon(pid))
        memory.values.append(own / sum(rss_mib(process.pid) for process in standalone.processes))
    yield from (ours, theirs, times, *rates.values(), memory)


def _program(cluster: Cluster | SparksOwn, tasks: int = 0) -> dict[str, float]:
    """Run PROGRAM, and return its measurements."""
    environ = {**spark_environment(cluster), "SPARK_CONF_DIR": str(cluster.home / "nothing")}
    words = [sys.executable, "-c", PROGRAM, cluster.url, str(tasks)]
    done = subprocess.run(
        words, env=environ, cwd=cluster.home, capture_output=True, text=True, timeout=300, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"the program failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    measured: dict[str, float] = json.loads(lines[-1])
    return measured


def _is_a_daemon(pid: int) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return any(word.endswith(("stoker.cli", "/stoker", "keeper.py")) or word == "stoker" for word in words[:4])


def _wait_for_preparations(cluster: Cluster) -> None:
    """Wait until the archive of classes and the unpacked Python files are ready."""
    until(lambda: cluster.worker[0].text().count("for later executors") == 2, within=120, every=0.1)


def executors(settings: Settings) -> Iterator[Measure]:
    """Measure from the kill of an executor until the next one has done a task, with and without an archive of classes."""
    if importlib.util.find_spec("pyspark") is None:
        return
    name = "Spark's executor killed to a task done by the next"
    shared, plain = Measure(name, "s"), Measure("the same without an archive of classes", "s")
    shared_cpu, plain_cpu = Measure("CPU of that executor's JVM", "s"), Measure("the same without an archive", "s")
    without = {**CONF, "spark.executor.extraJavaOptions": "-Xshare:auto"}  # with this option set, no archive is used
    with (
        folder() as home,
        Cluster(home, cores=2, memory="2g", properties={"spark.stoker.gateway.enabled": "true"}) as cluster,
        SparkJob(cluster, CONF) as one,
        SparkJob(cluster, without) as other,
    ):
        _wait_for_preparations(cluster)
        for number in range(settings.times(8) + 1):
            for job, times, cpu in ((one, shared, shared_cpu), (other, plain, plain_cpu)):
                took = _replace_executor(cluster, job)
                if number:
                    times.values.append(took)
                    cpu.values.append(cpu_seconds(max(executor_pids(cluster, job.app_id).values())))
    yield from (shared, plain, shared_cpu, plain_cpu)


def _replace_executor(cluster: Cluster, job: SparkJob) -> float:
    before = executor_pids(cluster, job.app_id)
    start = time.monotonic()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: executor_pids(cluster, job.app_id).keys() - before.keys(), within=60, every=0.05)
    job.say("numbers")
    assert job.answer() == "45"
    return time.monotonic() - start


def gateway(settings: Settings) -> Iterator[Measure]:
    """Measure what the gateway costs Stoker's own peers, which mark their connections."""
    for state, name in (("false", "round trip to the master, gateway off"), ("true", "the same, gateway on")):
        trip, blob = (
            Measure(name, "ms"),
            Measure(f"upload of 64 MiB, gateway {'on' if state == 'true' else 'off'}", "s"),
        )
        with running(1, **{"spark.stoker.gateway.enabled": state}) as cluster, client_of(cluster) as client:
            for _ in range(settings.times(400)):
                start = time.perf_counter()
                client.cluster()
                trip.values.append((time.perf_counter() - start) * 1000)
            for number in range(settings.times(4)):
                path = cluster.home / f"blob-{number}"
                path.touch(0o755)
                path.write_bytes(number.to_bytes(4, "big") * (16 << 20))
                start = time.perf_counter()
                client.kill(client.submit_many([client.describe(str(path), memory=64, cores=9)])[0])
                blob.values.append(time.perf_counter() - start)
                with contextlib.suppress(OSError):
                    path.unlink()
        yield from (trip, blob)
