"""What comes out of an application's state machine (``core.application``), beside what comes out of every peer's
(``core.peer.events``)."""

from __future__ import annotations

from dataclasses import dataclass

from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import Exit
from stoker.core.peer.events import Answered, GaveUp, Note, PeerEffect

__all__ = [  # ``GaveUp`` is an event of an application like the others
    "ApplicationEffect",
    "ApplicationEvent",
    "Disconnected",
    "Executor",
    "ExecutorChanged",
    "ExecutorGranted",
    "GaveUp",
    "Registered",
    "Removed",
    "Stopped",
]

_NOT_ENDED = Exit()

# --- what the user of an application learns ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Executor:
    """An executor of this application, as far as its master told."""

    id: int
    worker_id: str
    host: str
    cores: int
    memory_mib: int
    state: ExecutorState = ExecutorState.LAUNCHING
    exit: Exit = _NOT_ENDED


@dataclass(frozen=True, slots=True)
class Registered:
    """``again``: with another master, or the same after a lost connection."""

    app_id: str
    master_url: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The master is away; the executors go on, and the application looks for the master for ever."""

    reason: str


@dataclass(frozen=True, slots=True)
class ExecutorGranted:
    executor: Executor


@dataclass(frozen=True, slots=True)
class ExecutorChanged:
    """Started (``RUNNING``), or over (a final state)."""

    executor: Executor


@dataclass(frozen=True, slots=True)
class Removed:
    """The master ended the application: it is done, has failed, or was killed. Logs can still be read."""

    state: ApplicationState
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was unregistered on request. Nothing follows."""


ApplicationEvent = Registered | Disconnected | ExecutorGranted | ExecutorChanged | Removed | GaveUp | Stopped
ApplicationEffect = PeerEffect | Answered | Note | ApplicationEvent
