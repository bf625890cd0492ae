"""Unmodified pyspark on Stoker's gateway and on Spark's own standalone daemons, in one run; and what the gateway costs."""

from __future__ import annotations

import contextlib
import importlib.util
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


@dataclass
class SparksOwn:
    """A master and a worker of Spark's, from the ``pyspark`` package."""

    home: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = f"spark://127.0.0.1:{free_port()}"

    def __enter__(self) -> SparksOwn:
        port = self.url.rpartition(":")[2]
        self._start("master.Master", "--host", "127.0.0.1", "--port", port)
        until(lambda: "ALIVE" in self._log(0), within=120, every=0.05)
        self._start(
            "worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "2g", "-d", str(self.home), self.url
        )
        until(lambda: "registered with master" in self._log(1), within=120, every=0.05)
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
    """From the start of a pyspark program to its first result, in turns; and the daemons' memory afterwards."""
    if importlib.util.find_spec("pyspark") is None:
        print("spark: the package pyspark is not installed", file=sys.stderr)
        return
    ours, theirs = Measure("pyspark: start to first result", "s"), Measure("the same on Spark's own daemons", "s")
    times = Measure("the first as a part of the second", "", target=0.8)
    memory = Measure("Stoker's daemons as a part of Spark's, RSS", "", target=0.2)
    properties = {"spark.stoker.gateway.enabled": "true"}
    with (
        folder() as home,
        folder() as other,
        SparksOwn(other) as standalone,
        Cluster(home, cores=1, memory="2g", properties=properties) as cluster,
    ):
        for number in range(settings.times(5) + 1):
            pair = _to_first_result(cluster), _to_first_result(standalone)
            if not number:  # it has read 300 MB of jars from disk, and had no archive of their classes
                _wait_for_archive(cluster)
            else:
                ours.values.append(pair[0])
                theirs.values.append(pair[1])
                times.values.append(pair[0] / pair[1])
        own = sum(rss_mib(pid) for pid in (cluster.master.pid, cluster.worker[0].pid))
        memory.values.append(own / sum(rss_mib(process.pid) for process in standalone.processes))
    yield from (ours, theirs, times, memory)


def _wait_for_archive(cluster: Cluster) -> None:
    until(lambda: "for the executors to come" in cluster.worker[0].text(), within=120, every=0.1)


def executors(settings: Settings) -> Iterator[Measure]:
    """An executor is killed: until the next one has done a task, with and without an archive of classes, in turns."""
    if importlib.util.find_spec("pyspark") is None:
        return
    name = "Spark's executor killed to a task done by the next"
    shared, plain = Measure(name, "s"), Measure("the same without an archive of classes", "s")
    shared_cpu, plain_cpu = Measure("CPU of that executor's JVM", "s"), Measure("the same without an archive", "s")
    without = {**CONF, "spark.executor.extraJavaOptions": "-Xshare:auto"}  # who has a say in it gets none
    with (
        folder() as home,
        Cluster(home, cores=2, memory="2g", properties={"spark.stoker.gateway.enabled": "true"}) as cluster,
        SparkJob(cluster, CONF) as one,
        SparkJob(cluster, without) as other,
    ):
        _wait_for_archive(cluster)
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


def _to_first_result(cluster: Cluster | SparksOwn) -> float:
    start = time.monotonic()
    with SparkJob(cluster, CONF) as job:
        job.say("numbers")
        assert job.answer() == "45"
        took = time.monotonic() - start
        job.say("stop")
        job.wait()
    return took


def gateway(settings: Settings) -> Iterator[Measure]:
    """What passing ZeroMQ connections on costs our own peers."""
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
