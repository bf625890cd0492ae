"""The cost of 10,000 workers and 100,000 executors to their master. Run ``python tests/bench/scaling.py``.

This bench uses the real core, codec and FILESYSTEM recovery, without sockets. Each figure is the time of the one thread that
decides: from the received bytes to the bytes to send, durable writes included. Results: docs/scaling.md.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stoker.core.master.effects import Gone, Received, Send, batch_of
from stoker.core.master.invariants import violations
from stoker.core.master.machine import MasterCore
from stoker.core.model.messages import (
    ExecutorStateChanged,
    Message,
    RegisterApplication,
    RegisterWorker,
    Status,
    SubmitDriver,
    WorkerHeartbeat,
)
from stoker.core.model.policy import Policy
from stoker.core.model.records import ExecutorRecord
from stoker.core.model.states import ExecutorState, MasterState, Role
from stoker.core.model.values import (
    ApplicationDescription,
    Artifact,
    Command,
    DriverDescription,
    ExecutorReport,
    Exit,
    Now,
)
from stoker.master.daemon import BATCH
from stoker.recovery.filesystem import FilesystemRecovery
from stoker.recovery.records import encode_writes, read_records
from stoker.wire import codec

WALL = 1_800_000_000.0
WAITING = 10_000  # drivers for which no cores are free

Frames = tuple[str, list[bytes]]  # the connection, and the frames received on it


@dataclass
class Master:
    """A master that decides, writes and encodes as the shell does."""

    engine: FilesystemRecovery
    epoch: int = 0
    mono: float = 100.0

    def __post_init__(self) -> None:
        self.lead()

    def lead(self) -> None:
        """Start a new core with the recorded state."""
        self.epoch += 1
        self.core = MasterCore(policy=Policy(), epoch=self.epoch, url="spark://m:7077", rng=random.Random(1))
        self.core.recover(read_records(self.engine), self.now)

    @property
    def now(self) -> Now:
        return Now(self.mono, WALL + self.mono)

    def handle(self, messages: Sequence[Frames]) -> None:
        for start in range(0, len(messages), BATCH):
            for peer, frames in messages[start : start + BATCH]:
                role = Role.WORKER if peer.startswith("w") else Role.CLIENT
                event = Received(peer.encode(), peer, role, codec.to_master.decode(frames))
                self.core.handle(event, self.now)
            self.release()

    def lose(self, peer: str) -> None:
        self.core.handle(Gone(peer.encode()), self.now)
        self.release()

    def release(self) -> None:
        batch = batch_of(self.core.finish_batch(self.now))
        if batch.writes:
            self.engine.commit(encode_writes(batch.writes))
        for effect in batch.after:
            if isinstance(effect, Send):
                codec.encode(effect.message)

    def executors(self) -> list[ExecutorRecord]:
        return [executor for app in self.core.ctx.books.apps.values() for executor in app.executors.values()]


# --- what the cluster says -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cluster:
    """Worker ``n`` has the connection ``wn``, application ``n`` has ``cn``. An application wants one core of each worker."""

    workers: int
    per_worker: int

    @staticmethod
    def worker_id(number: int) -> str:
        return f"worker-20270101000000-h{number}-4000"

    @staticmethod
    def peer_of(executor: ExecutorRecord) -> str:
        return "w" + executor.worker_host.removeprefix("h")

    def registration(self, number: int, epoch: int, reports: tuple[ExecutorReport, ...] = ()) -> Frames:
        message = RegisterWorker(
            worker_id=self.worker_id(number),
            boot="b",
            host=f"h{number}",
            port=4000,
            cores=self.per_worker,
            memory_mib=1024 * self.per_worker,
            highest_epoch=epoch,
            executors=reports,
        )
        return f"w{number}", codec.encode(message)

    def description(self) -> ApplicationDescription:
        return ApplicationDescription(
            name="big", command=Command(argv=("run",)), cores_per_executor=1, max_cores=self.workers
        )

    def application(self, number: int, app_id: str = "") -> Frames:
        message = RegisterApplication(request=1, token=f"t{number}", app=self.description(), app_id=app_id)
        return f"c{number}", codec.encode(message)

    def heartbeats(self) -> list[Frames]:
        messages = (WorkerHeartbeat(worker_id=self.worker_id(number)) for number in range(self.workers))
        return [(f"w{number}", codec.encode(message)) for number, message in enumerate(messages)]

    def change(self, executor: ExecutorRecord, state: ExecutorState) -> Frames:
        message: Message = ExecutorStateChanged(
            worker_id=executor.worker_id,
            app_id=executor.app_id,
            executor_id=executor.id,
            state=state,
            pid=7,
            exit=Exit(code=0) if state.is_final else Exit(),
        )
        return self.peer_of(executor), codec.encode(message)

    def returning(self, master: Master) -> list[Frames]:
        """Return all registrations after a fail-over, with all running jobs."""
        by_worker: dict[str, list[ExecutorReport]] = {}
        description = self.description()
        for executor in master.executors():
            report = ExecutorReport(
                app_id=executor.app_id,
                executor_id=executor.id,
                cores=executor.cores,
                memory_mib=executor.memory_mib,
                state=ExecutorState.RUNNING,
                app=description,
                pid=executor.pid,
            )
            by_worker.setdefault(self.peer_of(executor), []).append(report)
        apps = [self.application(number, app_id) for number, app_id in enumerate(master.core.ctx.books.apps)]
        numbers = range(self.workers)
        return apps + [self.registration(n, master.epoch, tuple(by_worker.get(f"w{n}", ()))) for n in numbers]


def submission(number: int) -> Frames:
    description = DriverDescription(
        kind="program", main="job", artifacts=(Artifact(name="job", url="file:/bin/true"),), cores=1, memory_mib=1024
    )
    return "cs", codec.encode(SubmitDriver(request=number, token=f"d{number}", driver=description))


# --- the figures -----------------------------------------------------------------------------------------------------


def show(what: str, call: Callable[[], object], times: int = 1) -> None:
    """Print the time of ``call``, and the time of one operation: ``call`` does ``times`` of them."""
    gc.collect()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    each = f"{seconds / times * 1e6:9.1f} us each" if times > 1 else ""
    print(f"{what:72} {seconds * 1e3:10.1f} ms  {each}", flush=True)


def memory_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def fill(master: Master, cluster: Cluster) -> None:
    workers, apps = cluster.workers, cluster.per_worker
    before = memory_mib()
    registrations = [cluster.registration(number, master.epoch) for number in range(workers)]
    show(f"{workers} workers register", lambda: master.handle(registrations), workers)
    registrations.clear()
    for number in range(apps - 1):
        master.handle([cluster.application(number)])
    last = [cluster.application(apps - 1)]
    show(f"a pass that grants {workers} executors (the last of {workers * apps})", lambda: master.handle(last), workers)
    assert len(master.executors()) == workers * apps
    *most, latest = [list(app.executors.values()) for app in master.core.ctx.books.apps.values()]
    for executors in most:  # one application at a time: the messages of the bench are not memory of the master
        master.handle([cluster.change(executor, ExecutorState.RUNNING) for executor in executors])
    started = [cluster.change(executor, ExecutorState.RUNNING) for executor in latest]
    show(f"{workers} executors report their start", lambda: master.handle(started), workers)
    started.clear()
    gc.collect()
    print(f"{'memory for these workers and executors':72} {memory_mib() - before:10.0f} MiB", flush=True)


def steady(master: Master, cluster: Cluster) -> None:
    core = master.core
    hungry = [cluster.application(cluster.per_worker)]
    show("a pass over the full cluster: an application registers, nothing is free", lambda: master.handle(hungry))
    submissions = [submission(number) for number in range(WAITING)]
    show(f"{WAITING} drivers are submitted, and wait", lambda: master.handle(submissions), WAITING)
    one = [submission(WAITING)]
    show("a pass with them waiting: one more is submitted", lambda: master.handle(one))
    ended = [cluster.change(master.executors()[0], ExecutorState.EXITED)]
    show("an executor ends, and a driver takes its place", lambda: master.handle(ended))
    beats = cluster.heartbeats()
    show("a heartbeat of every worker (each sends one in 15 s)", lambda: master.handle(beats), cluster.workers)
    master.mono += 6.0
    show("the look for silent workers (every 6 s)", master.release)
    show(f"a worker with {cluster.per_worker} executors is lost", lambda: master.lose("w0"))
    show("a snapshot for the dashboard, of all that has changed since the start", core.view)
    show("the next one", core.view)
    size = 0

    def status() -> None:
        nonlocal size
        size = len(msgspec.msgpack.encode(Status(request=1, cluster=core.view())))

    show(f"an answer to `stoker status` (the limit is {codec.MAX_BODY / 1e6:.0f} MB)", status)
    print(f"{'':72} {size / 1e6:10.1f} MB", flush=True)
    show("a full garbage collection", gc.collect)
    show("all invariants of the books checked (tests and simulator only)", lambda: violations(core.ctx.books))


def recover(master: Master, cluster: Cluster) -> None:
    records = len(master.engine.read())
    show(f"a new master reads {records} records", master.lead)
    returning = cluster.returning(master)
    size = sum(len(frame) for _, frames in returning for frame in frames) / 1e6
    show(f"all applications and workers return, with all executors ({size:.0f} MB)", lambda: master.handle(returning))
    assert master.core.ctx.state is MasterState.ALIVE
    assert violations(master.core.ctx.books) == []
    print(f"{'the process has, with what the bench sends':72} {memory_mib():10.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=10_000)
    parser.add_argument("--per-worker", type=int, default=10, help="executors on each, at least 2 (default 10)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stoker-bench-") as folder:
        engine = FilesystemRecovery(Path(folder))
        master, cluster = Master(engine), Cluster(args.workers, args.per_worker)
        fill(master, cluster)
        steady(master, cluster)
        recover(master, cluster)
        engine.close()


if __name__ == "__main__":
    main()
