"""Runs in a kernel of its own, for ``limits``: whole clusters whose jobs have real control groups. It prints JSON objects."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from stoker.client.api import Client
from stoker.config.client import client_config
from stoker.core.model.values import DriverDescription
from stoker.worker.groups.group import LEAF, PREFIX
from tests.support.cluster import Cluster
from tests.support.wait import wait_until

TOP = Path("/sys/fs/cgroup")
MODES = ("off", "account", "enforce")
LOGS = ("stdout", "stderr", ".attempts")
HOG = ("if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")  # of dd; a job has 64 MiB


def tree(mode: str) -> Path:
    return TOP / f"{mode}.service"


@contextlib.contextmanager
def running(mode: str) -> Iterator[tuple[Cluster, Client]]:
    """A cluster whose worker has a tree of groups of its own."""
    properties = {"spark.stoker.worker.limits": mode}
    leaf = tree(mode) / LEAF
    leaf.mkdir(parents=True)
    (leaf / "cgroup.procs").write_text("0")
    with Cluster(Path("/tmp", mode), cores=1, memory="256m", properties=properties) as cluster:
        (TOP / "cgroup.procs").write_text("0")
        config = client_config(argparse.Namespace(master=cluster.url), cluster.environ)
        with Client(config=config) as client:
            yield cluster, client


def describe(client: Client, *words: str) -> DriverDescription:
    return client.describe(*words, memory=64, cores=1)


def rate(client: Client, count: int) -> float:
    """Return no-op drivers per second."""
    start = time.monotonic()
    ids = client.submit_many([describe(client, "/usr/bin/true")] * count)
    client.wait(ids[-1])
    wait_until(lambda: not client.cluster().active_drivers, within=3600)
    return count / (time.monotonic() - start)


def report_of_lack(client: Client) -> tuple[float, str]:
    """Return how many seconds after the kernel's kill the client knows it, and the reason that it got. 0.0: the job's group
    was removed before the watch saw the kill."""
    killed: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.002) and not killed:
            for events in tree("enforce").glob(f"{PREFIX}*/memory.events"):
                with contextlib.suppress(OSError):
                    if "oom_kill 0" not in events.read_text():
                        killed.append(time.monotonic())

    thread = threading.Thread(target=watch)
    thread.start()
    watched = client.submit_watched(describe(client, "/usr/bin/dd", *HOG))
    ended = client.wait(watched)
    end = time.monotonic()
    stop.set()
    thread.join()
    assert ended.reason.startswith("out of memory"), ended
    return (end - killed[0] if killed else 0.0), ended.reason


def left(cluster: Cluster, before: set[int]) -> dict[str, list[str]]:
    """Return what ended jobs have left beside their logs: processes and zombies, groups, files."""
    stats = [Path("/proc", name, "stat") for name in os.listdir("/proc") if name.isdigit() and int(name) not in before]
    found = [stat.read_text() for stat in stats if stat.exists()]
    return {
        "processes": [text for text in found if "kworker" not in text],
        "groups": [path.name for path in tree("enforce").glob(f"{PREFIX}*")],
        "files": [str(path) for path in cluster.work.glob("driver-*/*") if path.name not in LOGS],
    }


def main() -> None:
    rounds, count, many = map(int, sys.argv[1:])
    TOP.joinpath("cgroup.subtree_control").write_text("+cpu +memory +pids")
    with contextlib.ExitStack() as stack:
        clusters = {mode: stack.enter_context(running(mode)) for mode in MODES}
        for _, client in clusters.values():
            rate(client, count)  # for all that is made once
        for _ in range(rounds):
            print(
                json.dumps({"rates": {mode: rate(client, count) for mode, (_, client) in clusters.items()}}), flush=True
            )
        cluster, client = clusters["enforce"]
        for _ in range(rounds):
            seconds, reason = report_of_lack(client)
            print(json.dumps({"reported": seconds, "reason": reason}), flush=True)
        before = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        found = rate(client, many)
        print(json.dumps({"many": many, "rate": found, "left": left(cluster, before)}), flush=True)


if __name__ == "__main__":
    main()
