"""Fail-over: from the leader's failure until a new application runs; and from a worker's until its executor runs again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

from stoker.client.api import Client
from stoker.core.model.states import ExecutorState
from stoker.core.model.views import ExecutorView
from tests.bench.common import CLOCK, Settings, client_of, folder
from tests.bench.proc import until
from tests.bench.table import Measure
from tests.support.cluster import STOKER, Cluster
from tests.support.ha import HaCluster
from tests.support.zookeeper import ZooKeeperServers

CLIENTS = 4  # processes that submit at once
SUBMITTER = """
import argparse, os, sys, time
from stoker.client.api import Client
from stoker.config.client import client_config
count = int(sys.argv[1])
with Client(config=client_config(argparse.Namespace(master=os.environ["MASTER"]), os.environ)) as client:
    driver = client.describe("/usr/bin/true", memory=64, cores=2)
    client.submit_many([driver])
    print("ready", flush=True)
    sys.stdin.readline()
    client.submit_many([driver] * count)
    print(time.time(), flush=True)
"""


@contextlib.contextmanager
def _masters(workers: int = 2, session_timeout: str = "2s") -> Iterator[HaCluster]:
    with (
        folder() as home,
        ZooKeeperServers(home / "zk") as servers,
        HaCluster(
            home / "cluster",
            zookeeper=servers.hosts,
            workers=workers,
            session_timeout=session_timeout,
            cores=2,
            memory="1g",
        ) as cluster,
    ):
        yield cluster


def failover(settings: Settings) -> Iterator[Measure]:
    """Measure from a signal to the leader until the executor of an application started then prints its clock.

    A job runs meanwhile. The time includes the start of a Python process: ``alone`` is the same without a fail-over."""
    alone = Measure("new application, no fail-over", "s")
    cases = (
        (signal.SIGKILL, Measure("leader kill -9 -> new application runs", "s", target=1.0)),
        (signal.SIGTERM, Measure("leader SIGTERM -> new application runs", "s", target=1.0)),
        (signal.SIGSTOP, Measure("leader frozen, 2 s sessions -> new application runs", "s", target=4.0)),
    )
    hand_over = Measure("leader SIGTERM -> the next one is ALIVE", "s", target=0.3)
    crash = Measure("leader kill -9 -> the next one is ALIVE", "s")
    alive_after = {signal.SIGTERM: hand_over, signal.SIGKILL: crash}
    for number, measure in cases:
        for _ in range(settings.times(5)):
            with _masters() as cluster:
                cluster.submit("/bin/sleep", "600")
                alone.values.append(_new_application(cluster, time.time()))
                start = time.time()
                os.kill(cluster.master.pid, number)
                measure.values.append(_new_application(cluster, start))
                if number in alive_after:
                    alive_after[number].values.append(_alive_at(cluster) - start)
                if number == signal.SIGSTOP:
                    os.kill(cluster.master.pid, signal.SIGCONT)
        yield measure
    yield alone
    yield from (crash, hand_over)


def _new_application(cluster: HaCluster, start: float) -> float:
    words = [*STOKER, "run", "--total-executor-cores", "1", "--executor-memory", "64m", "--", *CLOCK]
    done = subprocess.run(
        words, env={**cluster.environ, "MASTER": cluster.url}, capture_output=True, text=True, timeout=60, check=True
    )
    return float(next(word for word in done.stdout.split() if word[:1] == "1" and "." in word)) - start


def _alive_at(cluster: HaCluster) -> float:
    """Return the time at which the second master logged that recovery is complete."""
    line = next(line for line in cluster.all_masters[1].text().splitlines() if "recovery is complete" in line)
    stamp, _, rest = line.partition(",")
    return time.mktime(time.strptime(stamp, "%Y-%m-%d %H:%M:%S")) + int(rest[:3]) / 1000


def durable(settings: Settings) -> Iterator[Measure]:
    """Measure submissions by several clients at once, each recorded before it is acknowledged. The drivers wait."""
    count = settings.size(2000)
    with folder() as home:
        properties = {
            "spark.deploy.recoveryMode": "FILESYSTEM",
            "spark.deploy.recoveryDirectory": str(home / "recovery"),
        }
        with Cluster(home, workers=1, cores=1, memory="1g", properties=properties) as cluster:
            name = f"accepted from {CLIENTS} clients, FILESYSTEM"
            yield _rate(cluster, Measure(name, "1/s", rate=True, target=5000), settings.times(4), count)
    with (
        folder() as home,
        ZooKeeperServers(home / "zk") as servers,
        HaCluster(
            home / "cluster", zookeeper=servers.hosts, workers=1, cores=1, memory="1g", session_timeout="10s"
        ) as cluster,
    ):
        name = f"accepted from {CLIENTS} clients, ZOOKEEPER"
        yield _rate(cluster, Measure(name, "1/s", rate=True, target=1500), settings.times(4), count)


def _rate(cluster: Cluster, measure: Measure, times: int, count: int) -> Measure:
    for _ in range(times):
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(
                    subprocess.Popen(
                        [STOKER[0], "-c", SUBMITTER, str(count)],
                        env={**cluster.environ, "MASTER": cluster.url},
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
                for _ in range(CLIENTS)
            ]
            for client in clients:
                assert client.stdout is not None and client.stdout.readline() == "ready\n"
            start = time.time()
            for client in clients:
                assert client.stdin is not None
                print("go", file=client.stdin, flush=True)
            ends = [float(client.stdout.readline()) for client in clients if client.stdout is not None]
            measure.values.append(CLIENTS * count / (max(ends) - start))
    return measure


def replaced_executor(settings: Settings) -> Iterator[Measure]:
    """Measure from ``kill -9`` of a worker until its executor runs on the other one; a client asks continuously."""
    measure = Measure("kill -9 of a worker: its executor runs elsewhere", "ms", target=80)
    measure.values += [_replaced() for _ in range(settings.times(5))]
    yield measure


def _replaced() -> float:
    with folder() as home, Cluster(home, workers=2, cores=1, memory="1g") as cluster, client_of(cluster) as client:
        run = cluster.start_cli("run", "--total-executor-cores", "1", "--executor-memory", "64m", "--", "sleep", "99")
        until(lambda: _executors(client))
        before = _executors(client)[0]
        victim = next(worker for worker in cluster.worker if f"{before.worker_id}:" in worker.text())
        start = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda: any(one.id != before.id for one in _executors(client)), every=0)
        took = (time.monotonic() - start) * 1000
        run.terminate()
        run.communicate()
    return took


def _executors(client: Client) -> list[ExecutorView]:
    """Return the running executors."""
    apps = client.cluster().active_apps
    return [one for app in apps for one in app.executors if one.state is ExecutorState.RUNNING]
