"""Bugs between daemons: acknowledgements, lost peers, leaders, health, a client's conversation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from stoker.core.master import (
    workers,
)
from stoker.core.master.books import Worker
from stoker.core.master.clock import OwnTime
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.fitness import deadlines, unfit
from stoker.core.model.messages import DriverStateAck, ExecutorStateAck, Reconnect
from stoker.core.peer.following import Following
from stoker.core.peer.masters import NEVER, Masters
from stoker.core.peer.requests import Requests
from stoker.core.worker.machine import WorkerCore
from stoker.core.worker.registration import Registration
from stoker.worker.keeper.job import KeptJob
from tests.simulation.keeper import SimulatedKeeper
from tests.simulation.mutants.left_out import left_out


@contextmanager
def lost_ack() -> Iterator[None]:
    """Final reports of workers are not acknowledged."""
    send = Context.send

    def silent(self: Context, peer: bytes | None, message: Any) -> None:
        if not isinstance(message, (DriverStateAck, ExecutorStateAck)):
            send(self, peer, message)

    with patch.object(Context, "send", silent):
        yield


@contextmanager
def ignored_death() -> Iterator[None]:
    """The master ignores that a worker's connection has closed."""
    with patch.object(workers, "peer_gone", left_out):
        yield


@contextmanager
def obey_anybody() -> Iterator[None]:
    """A worker carries out commands of a lower epoch than it has seen."""
    believes = Registration.believes

    def obey(self: Registration, address: str, message: Any, now: float) -> bool:
        seen = self.epoch
        self.epoch = min(seen, getattr(message, "epoch", seen))
        believed = believes(self, address, message, now)
        self.epoch = max(seen, self.epoch)
        return believed

    with patch.object(Registration, "believes", obey):
        yield


@contextmanager
def silent_registration() -> Iterator[None]:
    """A worker that registers again does not report its running jobs."""

    original = WorkerCore._describe

    def describe(self: WorkerCore, highest_epoch: int) -> Any:
        jobs, self.jobs = self.jobs, {}
        described = original(self, highest_epoch)
        self.jobs = jobs
        return described

    with patch.object(WorkerCore, "_describe", describe):
        yield


@contextmanager
def forgotten_end() -> Iterator[None]:
    """A worker forgets an ended job after reporting it, not after the acknowledgement."""
    end = WorkerCore._end

    def once(self: WorkerCore, job: Any, exit: Any, *, could_not_run: bool) -> None:
        end(self, job, exit, could_not_run=could_not_run)
        self.jobs.pop(job.key, None)

    with patch.object(WorkerCore, "_end", once):
        yield


@contextmanager
def immortal() -> Iterator[None]:
    """A keeper without a daemon runs indefinitely."""
    with patch.object(SimulatedKeeper, "_stop_all_without_daemon", left_out):
        yield


@contextmanager
def ignored_illness() -> Iterator[None]:
    """A master places jobs on a worker that has reported that its host is not well."""
    with patch.object(unfit, "reported", left_out):
        yield


@contextmanager
def ignored_drain() -> Iterator[None]:
    """A master places jobs on draining workers."""
    real: Any = Worker.objections

    def others(self: Worker) -> tuple[str, ...]:
        return tuple(reason for reason in real.fget(self) if reason != "operator")

    with patch.object(Worker, "objections", property(others)):
        yield


@contextmanager
def ignored_deadline() -> Iterator[None]:
    """A master does not stop what runs on a worker whose drain's deadline has come."""
    with patch.object(deadlines, "due", left_out):
        yield


@contextmanager
def own_sleep() -> Iterator[None]:
    """A master takes the time in which it was stopped for the silence of its peers, also of workers about to register."""

    def ask(ctx: Context, event: Received, worker_id: str) -> None:
        ctx.send(event.peer, Reconnect(epoch=ctx.epoch))

    with patch.object(OwnTime, "at", lambda self, now, due: now), patch.object(workers, "ask_to_register", ask):
        yield


@contextmanager
def forgotten_question() -> Iterator[None]:
    """Questions that a lost leader has not answered are not asked again."""
    with patch.object(Requests, "leader_lost", lambda self: []):
        yield


@contextmanager
def believed_standby() -> Iterator[None]:
    """A client follows a master although it answers that it does not lead."""
    with patch.object(Following, "not_leader", left_out):
        yield


@contextmanager
def single_try() -> Iterator[None]:
    """A link that has failed is not tried again."""
    with patch.object(Masters, "next_try", lambda self, master, now: NEVER):
        yield


@contextmanager
def unlimited() -> Iterator[None]:
    """A keeper does not stop a job that has reached its time limit."""
    with patch.object(KeptJob, "stop_at", float("inf")):
        yield
