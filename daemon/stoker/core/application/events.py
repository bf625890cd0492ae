"""What goes into and comes out of an application's state machine (``core.application``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stoker.core.model.messages import Message
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import Exit

_NOT_ENDED = Exit()

# --- in: what happens to an application's connections ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """The connection asked for by ``Connect`` is up and both sides know each other's keys."""

    address: str  # HOST:PORT


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """It could not be made, or is gone. ``denied``: the master refused our key."""

    address: str
    reason: str
    denied: bool = False


@dataclass(frozen=True, slots=True)
class LinkMessage:
    address: str
    message: Message


LinkEvent = LinkOpened | LinkClosed | LinkMessage

# --- out: what the shell must do -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """Make a fresh connection; answered by ``LinkOpened`` or ``LinkClosed``."""

    address: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close it; nothing of it may be delivered any more."""

    address: str


@dataclass(frozen=True, slots=True)
class Send:
    address: str
    message: Message


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the ``call`` of this number."""

    request: int
    message: Message


@dataclass(frozen=True, slots=True)
class Note:
    """A line for whoever debugs: a peer's misbehaviour that was survived."""

    text: str


# --- out: what the user of an application hears ----------------------------------------------------------------------


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
class GaveUp:
    """It could not be registered. Nothing follows."""

    kind: Literal["unreachable", "not-authorized", "refused"]
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was unregistered on request. Nothing follows."""


ApplicationEvent = Registered | Disconnected | ExecutorGranted | ExecutorChanged | Removed | GaveUp | Stopped
ApplicationEffect = Connect | Disconnect | Send | Answered | Note | ApplicationEvent
