"""The effects of an application's state machine (``core.application``). Those of every peer are in ``core.peer.events``."""

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

# --- the events that an application's program receives ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Executor:
    """An executor of this application, as its master last reported it."""

    id: int  # counts from 0 within the application
    worker_id: str
    host: str  # of its worker
    cores: int
    memory_mib: int
    state: ExecutorState = ExecutorState.LAUNCHING
    exit: Exit = _NOT_ENDED  # how it ended, once its state is final


@dataclass(frozen=True, slots=True)
class Registered:
    """A master has accepted the application."""

    app_id: str
    master_url: str
    again: bool = False  # with another master, or with the same one after a lost connection


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection to the master is lost. Executors keep running; the application looks for a master indefinitely."""

    reason: str


@dataclass(frozen=True, slots=True)
class ExecutorGranted:
    """The master placed a new executor on a worker."""

    executor: Executor


@dataclass(frozen=True, slots=True)
class ExecutorChanged:
    """An executor started (``RUNNING``) or ended (a final state)."""

    executor: Executor


@dataclass(frozen=True, slots=True)
class Removed:
    """The master ended the application: it is finished, has failed, or was killed. Its logs can still be read."""

    state: ApplicationState
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The application unregistered on request. No event follows."""


ApplicationEvent = Registered | Disconnected | ExecutorGranted | ExecutorChanged | Removed | GaveUp | Stopped
ApplicationEffect = PeerEffect | Answered | Note | ApplicationEvent
