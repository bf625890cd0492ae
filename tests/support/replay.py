"""A trace through the real core of a master, in virtual time.

A job of up to one worker's cores is a driver. A wider one is an application, which needs all its executors to begin: each has
4, 2 or 1 cores, the largest that divides the job's, so that they fit beside others. Nothing is on a network: a worker starts
and ends jobs at once.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence

from stoker.core.master.effects import Received, Send
from stoker.core.master.machine import MasterCore
from stoker.core.model.messages import (
    DriverStateChanged,
    ExecutorStateChanged,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    Message,
    RegisterApplication,
    RegisterWorker,
    SubmitDriver,
    UnregisterApplication,
)
from stoker.core.model.policy import Policy
from stoker.core.model.pools import Pools
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, Role
from stoker.core.model.values import ApplicationDescription, Artifact, Command, DriverDescription, Exit, Now
from tests.support.traces import TracedJob

WORKER_CORES = 16
_WALL = 1_800_000_000.0
_ARTIFACTS = (Artifact(name="job", url="file:/bin/true"),)
_COMMAND = Command(argv=("job",))


class Replay:
    """With ``gangs`` an application begins with all its executors at once; without, it takes what it gets, and waits for the
    rest."""

    def __init__(
        self, jobs: Sequence[TracedJob], *, workers: int, pools: Pools, spread_out: bool = False, gangs: bool = False
    ) -> None:
        policy = Policy(
            spread_out_apps=spread_out,
            spread_out_drivers=spread_out,
            worker_timeout=1e12,
            retained_apps=1,
            retained_drivers=1,
        )
        self.jobs, self.starts = jobs, [-1.0] * len(jobs)
        self.now, self._gangs = 0.0, gangs
        self.core = MasterCore(policy=policy, epoch=1, url="spark://m:7077", rng=random.Random(1))
        self.core.pools_are(pools, self._now)
        self._ends: list[tuple[float, int, str]] = []  # (when, job, driver or application)
        self._missing: dict[str, int] = {}  # application -> cores that it still waits for
        self._job: dict[str, int] = {}  # driver or application -> job
        self._where: dict[str, tuple[bytes, int]] = {}  # driver -> (worker's connection, attempt)
        for number in range(workers):
            self._send(f"w{number}".encode(), _worker(number), role=Role.WORKER)
        self._finish()

    @property
    def _now(self) -> Now:
        return Now(self.now, _WALL + self.now)

    def run(self) -> list[float]:
        """Return when each job started; -1: never. Jobs that hold what others need may all wait for each other."""
        arrivals = sorted(range(len(self.jobs)), key=lambda index: self.jobs[index].submitted, reverse=True)
        while arrivals or self._ends:
            due = [self._ends[0][0]] if self._ends else []
            self.now = min(due + [self.jobs[index].submitted for index in arrivals[-1:]])
            while self._ends and self._ends[0][0] <= self.now:
                self._end(heapq.heappop(self._ends)[2])
            while arrivals and self.jobs[arrivals[-1]].submitted <= self.now:
                self._submit(arrivals.pop())
            self._finish()
        return self.starts

    def _send(self, peer: bytes, message: Message, *, by: str = "", role: Role = Role.CLIENT) -> None:
        self.core.handle(Received(peer, by, role, message, principal=by), self._now)

    def _finish(self) -> None:
        """Run a scheduling pass; killed executors end at once, which leads to another."""
        while effects := [effect for effect in self.core.finish_batch(self._now) if isinstance(effect, Send)]:
            for effect in effects:
                self._deliver(effect.peer, effect.message)

    def _submit(self, index: int) -> None:
        job = self.jobs[index]
        if job.cores <= WORKER_CORES:
            driver = DriverDescription(
                kind="program", main="job", artifacts=_ARTIFACTS, cores=job.cores, memory_mib=0, time_limit=job.limit
            )
            self._send(f"c{index}".encode(), SubmitDriver(request=1, token=f"{index}", driver=driver), by=job.user)
            return
        each = next(cores for cores in (4, 2, 1) if job.cores % cores == 0)
        app = ApplicationDescription(
            name="job",
            command=_COMMAND,
            max_cores=job.cores,
            cores_per_executor=each,
            memory_mib=0,
            time_limit=job.limit,
            min_executors=job.cores // each if self._gangs else 0,
        )
        self._send(f"c{index}".encode(), RegisterApplication(request=1, token=f"{index}", app=app), by=job.user)

    def _end(self, name: str) -> None:
        if name.startswith("app-"):
            peer, job = f"c{self._job[name]}".encode(), self.jobs[self._job[name]]
            done = UnregisterApplication(request=2, app_id=name, state=ApplicationState.FINISHED)
            self._send(peer, done, by=job.user)
            return
        peer, attempt = self._where.pop(name)
        ended = DriverStateChanged(
            worker_id=self._worker_at(peer),
            driver_id=name,
            attempt=attempt,
            state=DriverState.FINISHED,
            exit=Exit(code=0),
        )
        self._send(peer, ended, role=Role.WORKER)

    def _worker_at(self, peer: bytes) -> str:
        return self.core.ctx.books.worker_of_peer[peer]

    def _deliver(self, peer: bytes, message: Message) -> None:
        if isinstance(message, LaunchDriver):
            self._where[message.driver_id] = peer, message.attempt
            self._begin(message.driver_id, int(self.core.ctx.books.drivers[message.driver_id].record.token))
        elif isinstance(message, LaunchExecutor):
            index = int(self.core.ctx.books.apps[message.app_id].record.token)
            left = self._missing.get(message.app_id, self.jobs[index].cores) - message.cores
            self._missing[message.app_id] = left
            if not left:
                self._begin(message.app_id, index)
        elif isinstance(message, KillExecutor):
            ended = ExecutorStateChanged(
                worker_id=self._worker_at(peer),
                app_id=message.app_id,
                executor_id=message.executor_id,
                state=ExecutorState.KILLED,
            )
            self._send(peer, ended, role=Role.WORKER)

    def _begin(self, name: str, index: int) -> None:
        self._job[name], self.starts[index] = index, self.now
        heapq.heappush(self._ends, (self.now + self.jobs[index].seconds, index, name))


def _worker(number: int) -> RegisterWorker:
    return RegisterWorker(
        worker_id=f"worker-20270101000000-h{number}-{4000 + number}",
        boot="b",
        host=f"h{number}",
        port=4000 + number,
        cores=WORKER_CORES,
        memory_mib=1024,
    )
