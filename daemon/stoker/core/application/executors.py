"""The executors of one application, as its master reports them."""

from __future__ import annotations

import dataclasses

from stoker.core.application.events import Executor
from stoker.core.model.messages import ExecutorAdded, ExecutorUpdated
from stoker.core.model.states import ExecutorState
from stoker.core.model.values import Exit
from stoker.core.model.views import ExecutorView

RETAINED_FINISHED = 1000  # a long application with many short executors must not grow without bound

_ORDER = (ExecutorState.LAUNCHING, ExecutorState.RUNNING, ExecutorState.DECOMMISSIONED)


class ExecutorTable:
    """Live executors and the latest finished ones. A repeated report changes nothing.

    ``finite``: the application has a share of cores to use up, and must be able to tell a master that keeps no records
    how much of it is used.
    """

    def __init__(self, *, finite: bool = False) -> None:
        self._finite = finite
        self._live: dict[int, Executor] = {}
        self._finished: dict[int, Executor] = {}
        self._unconfirmed: set[int] = set()
        self.ended: list[ExecutorView] = []  # of a finite application, by themselves: what has used its share up
        self._cores = 0  # held, or used up
        self.highest_id = -1
        self.share = 0  # the most of those at a time: what a finite application was granted

    def all(self) -> tuple[Executor, ...]:
        return tuple(sorted((*self._finished.values(), *self._live.values()), key=lambda executor: executor.id))

    def add(self, message: ExecutorAdded) -> Executor | None:
        """Return the executor if it is new. One that was LOST can return with its worker."""
        self.highest_id = max(self.highest_id, message.executor_id)
        self._unconfirmed.discard(message.executor_id)
        finished = self._finished.get(message.executor_id)
        if message.executor_id in self._live or (finished and finished.state is not ExecutorState.LOST):
            return None
        self._finished.pop(message.executor_id, None)
        executor = Executor(
            id=message.executor_id,
            worker_id=message.worker_id,
            host=message.host,
            cores=message.cores,
            memory_mib=message.memory_mib,
        )
        self._live[executor.id] = executor
        self._cores += executor.cores
        self.share = max(self.share, self._cores)
        return executor

    def update(self, message: ExecutorUpdated) -> Executor | None:
        """The executor if this moved it forward; None for repetitions, and for ids never announced."""
        self._unconfirmed.discard(message.executor_id)
        executor = self._live.get(message.executor_id)
        if executor is None:
            return None
        if not message.state.is_final and _ORDER.index(message.state) <= _ORDER.index(executor.state):
            return None
        return self._move(executor, message.state, message.exit)

    def doubt_all(self) -> None:
        """Note a new leader: it must announce each live executor again."""
        self._unconfirmed = set(self._live)

    def give_up_doubtful(self, reason: str) -> list[Executor]:
        """Return the executors that were not announced again; they count as LOST."""
        doubtful, self._unconfirmed = sorted(self._unconfirmed & set(self._live)), set()
        return [self._move(self._live[id], ExecutorState.LOST, Exit(reason=reason)) for id in doubtful]

    def _move(self, executor: Executor, state: ExecutorState, exit: Exit) -> Executor:
        executor = dataclasses.replace(executor, state=state, exit=exit)
        if not state.is_final:
            self._live[executor.id] = executor
            return executor
        del self._live[executor.id]
        self._finished[executor.id] = executor
        if self._finite and state in (ExecutorState.EXITED, ExecutorState.FAILED):
            self.ended.append(_view(executor))
        else:
            self._cores -= executor.cores
        while len(self._finished) > RETAINED_FINISHED:
            del self._finished[next(iter(self._finished))]
        return executor


def executor_of(view: ExecutorView) -> Executor:
    """Return the executor that a master's view shows."""
    return Executor(view.id, view.worker_id, view.host, view.cores, view.memory_mib, view.state, view.exit)


def _view(executor: Executor) -> ExecutorView:
    return ExecutorView(
        id=executor.id,
        worker_id=executor.worker_id,
        host=executor.host,
        cores=executor.cores,
        memory_mib=executor.memory_mib,
        state=executor.state,
        exit=executor.exit,
    )
