"""Move a rebuilt core from one end of a job to the next, until everything that waits has started or nothing more happens."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from stoker.core.forecast.lengths import Length
from stoker.core.forecast.rebuild import peer_of
from stoker.core.master.effects import Received, Send
from stoker.core.master.machine import MasterCore
from stoker.core.model.arrays.ids import tasks_id
from stoker.core.model.messages import (
    DriverStateChanged,
    ExecutorStateChanged,
    KillExecutor,
    LaunchDriver,
    LaunchExecutor,
    Message,
    UnregisterApplication,
)
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, Role
from stoker.core.model.values import Exit, Now

_IDLE_TIMERS = 20  # of the core's own that may pass, once nothing runs, until it is clear that they start nothing
_HORIZON = 1e9  # seconds; a timer beyond it is one that never comes


class Play:
    """``lengths``: of the jobs that wait, by id, from their starts; of an array, of each task. ``tasks``: how many tasks of
    each array wait. ``starts``: seconds from now, by id; of an array, of its last task."""

    def __init__(self, core: MasterCore, at: float, lengths: dict[str, Length], tasks: dict[str, int]) -> None:
        self.core, self.now = core, Now(0.0, at)
        self.starts: dict[str, float] = {}
        self._lengths, self._tasks = lengths, tasks
        self._ends: list[tuple[float, str]] = []

    def runs_on(self, job_id: str, seconds: float) -> None:
        """A job that runs now ends after so many seconds."""
        heapq.heappush(self._ends, (seconds, job_id))

    def run(self, wanted: Iterable[str]) -> None:
        """Play until all of ``wanted`` have started, or no more of them can."""
        left, idle = set(wanted) - set(self.starts), 0
        self._finish()
        while left - set(self.starts):
            end = self._ends[0][0] if self._ends else _HORIZON
            timer = self.core.next_deadline()
            if min(end, timer) >= _HORIZON or idle > _IDLE_TIMERS:
                return
            idle = 0 if self._ends else idle + 1
            self._pass_to(max(self.now.mono, min(end, timer)))

    def ask(self, peer: bytes, message: Message, *, by: str) -> list[Message]:
        """Hand the core a client's message before the next scheduling pass; return its answers."""
        self.core.handle(Received(peer, "", Role.CLIENT, message, principal=by), self.now)
        return [effect.message for effect in self.core.ctx.take_effects() if isinstance(effect, Send)]

    def _pass_to(self, mono: float) -> None:
        self.now = Now(mono, self.now.wall + mono - self.now.mono)
        while self._ends and self._ends[0][0] <= mono:
            self._end(heapq.heappop(self._ends)[1])
        self._finish()

    def _finish(self) -> None:
        """Run scheduling passes until one sends nothing: a killed executor ends at once, which leads to another."""
        while batch := [effect for effect in self.core.finish_batch(self.now) if isinstance(effect, Send)]:
            for effect in batch:
                self._deliver(effect.peer, effect.message)

    def _deliver(self, peer: bytes, message: Message) -> None:
        if isinstance(message, LaunchDriver):
            self._begin(message.driver_id)
        elif isinstance(message, LaunchExecutor):
            self._begin(message.app_id)
        elif isinstance(message, KillExecutor):
            ended = ExecutorStateChanged(
                worker_id=self.core.ctx.books.worker_of_peer[peer],
                app_id=message.app_id,
                executor_id=message.executor_id,
                state=ExecutorState.KILLED,
            )
            self._report(peer, ended)

    def _begin(self, job_id: str) -> None:
        task = None if job_id in self._lengths else tasks_id(job_id)
        head = job_id if task is None else task.array_id
        if head not in self._lengths or (task is None and head in self.starts):
            return
        self.runs_on(job_id, self.now.mono + self._lengths[head].seconds)
        if task is not None:
            self._tasks[head] -= 1
        if task is None or not self._tasks[head]:
            self.starts[head] = self.now.mono

    def _end(self, job_id: str) -> None:
        if job_id.startswith("app-"):
            done = UnregisterApplication(request=0, app_id=job_id, state=ApplicationState.FINISHED)
            self.core.handle(Received(peer_of(job_id), "", Role.ADMIN, done), self.now)
            return
        attempt = self.core.ctx.books.drivers[job_id].record.attempts[-1]
        ended = DriverStateChanged(
            worker_id=attempt.worker_id,
            driver_id=job_id,
            attempt=attempt.number,
            state=DriverState.FINISHED,
            exit=Exit(code=0),
        )
        self._report(peer_of(attempt.worker_id), ended)

    def _report(self, peer: bytes, message: Message) -> None:
        self.core.handle(Received(peer, "", Role.WORKER, message), self.now)
