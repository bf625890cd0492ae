"""What the worker's core asks its shell to do, beside what every peer does (``core.peer.events``)."""

from __future__ import annotations

from dataclasses import dataclass

from stoker.core.model.values import DrainMark
from stoker.core.peer.events import PeerEffect
from stoker.core.worker.jobs import AnyJob


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the job's directory and put its files there; answer with ``prepared`` or ``could_not_prepare``."""

    job: AnyJob


@dataclass(frozen=True, slots=True)
class CancelPrepare:
    key: str


@dataclass(frozen=True, slots=True)
class SpawnJob:
    job: AnyJob
    master_url: str


@dataclass(frozen=True, slots=True)
class StopJob:
    """TERM now, KILL after ``grace`` seconds."""

    key: str
    grace: float


@dataclass(frozen=True, slots=True)
class ForgetJob:
    key: str


@dataclass(frozen=True, slots=True)
class ApplicationOver:
    """The application gets no more executors: its local directories may be removed."""

    app_id: str


@dataclass(frozen=True, slots=True)
class RememberDrain:
    """Keep the mark where the next daemon of this slot finds it."""

    drain: DrainMark


@dataclass(frozen=True, slots=True)
class Log:
    level: int
    text: str


WorkerEffect = (
    PeerEffect | Prepare | CancelPrepare | SpawnJob | StopJob | ForgetJob | ApplicationOver | RememberDrain | Log
)
