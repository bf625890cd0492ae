"""Workers that register and send heartbeats over real sockets, hundreds of them in one process, and run nothing.

    python -m tests.support.simulated_workers HOST:PORT KEYS_FOLDER COUNT

Prints ``registered COUNT`` when the master has taken all of them, and ends when its stdin is closed.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import zmq

from stoker.core.model.messages import RegisteredWorker, RegisterWorker, RegisterWorkerFailed, ToWorker, WorkerHeartbeat
from stoker.core.model.states import Role
from stoker.io.loop import Loop
from stoker.io.sockets import Closed, Link, Opened
from stoker.security.keys import Keys
from stoker.wire import codec
from tests.support.cluster import Cluster
from tests.support.wait import wait_until

SOCKETS_EACH = 3  # a DEALER and the two ends of its monitor
DESCRIPTORS_EACH = 4  # those, and the connection


class SimulatedWorker:
    """One core, one GiB, one link."""

    def __init__(self, loop: Loop, address: str, keys: Keys, number: int) -> None:
        self.id = f"worker-20260101000000-simulated-{number:05}"
        self.registered = False
        self._number = number
        self._link: Link[ToWorker] = Link(
            loop.context, address=address, keys=keys, role=Role.WORKER, name=self.id, decoder=codec.to_worker
        )
        for source in self._link.sources():
            loop.add_reader(source, self._look)

    def heartbeat(self) -> None:
        self._link.send(WorkerHeartbeat(worker_id=self.id))

    def close(self) -> None:
        self._link.close()

    def _look(self) -> None:
        for item in self._link.drain():
            if isinstance(item, Opened):
                self._link.send(self._registration())
            elif isinstance(item, RegisteredWorker):
                self.registered = True
            elif isinstance(item, (Closed, RegisterWorkerFailed)):
                raise SystemExit(f"{self.id}: {item.reason}")

    def _registration(self) -> RegisterWorker:
        return RegisterWorker(
            worker_id=self.id,
            boot=f"{self._number:016}",
            host="simulated",
            port=10_000 + self._number,
            cores=1,
            memory_mib=1024,
        )


def main(address: str, keys_folder: str, count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1000 + DESCRIPTORS_EACH * count), hard))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    context.set(zmq.MAX_SOCKETS, 100 + SOCKETS_EACH * count)
    loop = Loop(context)
    keys = Keys.open(Path(keys_folder), create=None)
    workers = [SimulatedWorker(loop, address, keys, number) for number in range(count)]
    said, heartbeat_at = False, time.monotonic() + 10.0

    def on_round() -> float:
        nonlocal said, heartbeat_at
        if not said and all(worker.registered for worker in workers):
            said = True
            print(f"registered {count}", flush=True)
        if time.monotonic() >= heartbeat_at:
            heartbeat_at += 10.0  # seconds; a third of the masters' default interval is lost without harm
            for worker in workers:
                worker.heartbeat()
        return heartbeat_at

    loop.add_reader(sys.stdin.fileno(), loop.stop)
    loop.run(on_round)
    for worker in workers:
        worker.close()
    loop.close()
    context.term()


@contextlib.contextmanager
def crowd(cluster: Cluster, count: int, within: float = 60.0) -> Iterator[float]:
    """Start ``count`` simulated workers and wait until the cluster's master has registered them; yield the seconds that
    took, the start of Python included."""
    wait_until(lambda: cluster.url in cluster.master.text(), what="the master to listen")
    address = cluster.url.removeprefix("spark://")
    words = [sys.executable, "-m", __name__, address, str(cluster.home / "conf" / "keys"), str(count)]
    start = time.monotonic()
    log = cluster.home / "simulated.log"
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=output, stderr=output)
    try:

        def registered() -> bool:
            assert process.poll() is None, f"the simulated workers failed: {log.read_text()[-2000:]}"
            return f"registered {count}" in log.read_text()

        wait_until(registered, within=within, what=f"{count} simulated workers registered")
        yield time.monotonic() - start
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
