"""What goes into and comes out of every conversation with the masters. An address is HOST:PORT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stoker.core.model.messages import Message

# --- in: what happens to the links ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """The link asked for by ``Connect`` is up, and both sides know each other's keys."""

    address: str


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """The link could not be made, or was lost. ``denied``: trying again changes nothing by itself, as with a key that the
    master does not admit."""

    address: str
    reason: str
    denied: bool = False


@dataclass(frozen=True, slots=True)
class LinkMessage:
    address: str
    message: Message


LinkEvent = LinkOpened | LinkClosed | LinkMessage

# --- out: what the shell must do --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """Make a fresh link; answered by ``LinkOpened`` or ``LinkClosed``."""

    address: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the link. No event of it may follow."""

    address: str


@dataclass(frozen=True, slots=True)
class Send:
    address: str
    message: Message


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to the request of this number. More may follow until the request is forgotten."""

    request: int
    message: Message


@dataclass(frozen=True, slots=True)
class Lost:
    """The link was lost before a request was answered that must not be repeated. No answer follows."""

    request: int


@dataclass(frozen=True, slots=True)
class GaveUp:
    """No master can be used, or the leading one refused. An application has ended then."""

    kind: Literal["unreachable", "not-authorized", "refused"]
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the user: what takes long, and when that ends."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log: a peer's misbehaviour that did no harm."""

    text: str


PeerEffect = Connect | Disconnect | Send | Lost
