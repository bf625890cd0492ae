"""Inputs and outputs of every conversation with the masters. An address is HOST:PORT.

Structs rather than dataclasses: every command imports these classes, and a dataclass takes twenty times as long to make.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stoker.core.model.messages import Message

# --- in: what happens to the links ------------------------------------------------------------------------------------


class LinkOpened(msgspec.Struct, frozen=True):
    """The link asked for by ``Connect`` is up, and both sides know each other's keys."""

    address: str


class LinkClosed(msgspec.Struct, frozen=True):
    """The link could not be made, or was lost. ``denied``: trying again changes nothing by itself, as with a key that the
    master does not admit."""

    address: str
    reason: str
    denied: bool = False


class LinkMessage(msgspec.Struct, frozen=True):
    address: str
    message: Message


LinkEvent = LinkOpened | LinkClosed | LinkMessage

# --- out: what the shell must do --------------------------------------------------------------------------------------


class Connect(msgspec.Struct, frozen=True):
    """Make a fresh link; answered by ``LinkOpened`` or ``LinkClosed``."""

    address: str


class Disconnect(msgspec.Struct, frozen=True):
    """Close the link. No event of it may follow."""

    address: str


class Send(msgspec.Struct, frozen=True):
    address: str
    message: Message


class Answered(msgspec.Struct, frozen=True):
    """An answer to the request of this number. More may follow until the request is forgotten."""

    request: int
    message: Message


class Lost(msgspec.Struct, frozen=True):
    """The link was lost before a request was answered that must not be repeated. No answer follows."""

    request: int


class GaveUp(msgspec.Struct, frozen=True):
    """No master can be used, or the leading one refused. An application has ended then."""

    kind: Literal["unreachable", "not-authorized", "refused"]
    reason: str


class Notice(msgspec.Struct, frozen=True):
    """A line for the user: that looking for a master takes long, and when it ends."""

    text: str


class Note(msgspec.Struct, frozen=True):
    """A line for the log: a peer's misbehaviour that did no harm."""

    text: str


PeerEffect = Connect | Disconnect | Send | Lost
