"""Moves along the tables of ``core.model.lifecycles``, and the story of an illegal move.

A pair of state and event that is not in the table is an *illegal move*: ``move`` raises ``IllegalMove``, which names the
record's ids and its latest moves, and changes nothing. The daemon then stops, because its books are wrong; its next start
begins from the records.

Messages of peers are checked first (``may``): a message that asks for an illegal move is the peer's fault. It is logged and
dropped, or answered, and never reaches ``move``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

from stoker.errors import InvariantBroken

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)

MOVES_KEPT = 1000  # the latest of all records of a core, for the story of an illegal one
MOVES_TOLD = 10  # of one record


class Lifecycle(Generic[S, E]):
    """The states of one kind of record. A record's state is its ``attribute``; ``table`` has a row for every state."""

    def __init__(
        self, kind: str, initial: S, table: Mapping[S, Mapping[E, S]], *, attribute: str = "state", events: type[E]
    ) -> None:
        self.kind = kind
        self.initial = initial
        self.table = table
        self.attribute = attribute
        self.events = events

    def moves(self) -> Iterator[tuple[S, E, S]]:
        for state, row in self.table.items():
            for event, after in row.items():
                yield state, event, after


class Event(Enum):
    """Base of events. Members are looked up often, so they have the cheap hash of an object: they are singletons."""

    __hash__ = object.__hash__


class Move(NamedTuple):
    record: Any
    before: Enum
    event: Enum
    after: Enum


class Recent:
    """The latest moves of all records of a core, oldest first."""

    def __init__(self) -> None:
        self._moves: deque[tuple[Any, Enum, Enum, Enum]] = deque(maxlen=MOVES_KEPT)
        self.add = self._moves.append  # record, before, event, after

    def of(self, identity: object) -> list[Move]:
        """Return the latest moves of one record; ``identity`` is the result of ``identify``."""
        return [Move(*move) for move in self._moves if identify(move[0]) == identity][-MOVES_TOLD:]


class IllegalMove(InvariantBroken):
    """A bug in Stoker. The text is one line: the record, the event that its state does not allow, and its latest moves."""


def may(lifecycle: Lifecycle[S, E], record: Any, event: E) -> bool:
    """Return whether ``event`` is a legal move of ``record`` now. For events that a peer causes."""
    return event in lifecycle.table[getattr(record, lifecycle.attribute)]


def move(lifecycle: Lifecycle[S, E], record: Any, event: E, recent: Recent | None = None) -> None:
    """Change the state of ``record`` by ``event``, and note it in ``recent``.

    Raises IllegalMove, with the record's story, if the table does not allow the event in its state; nothing has changed
    then.
    """
    before: S = getattr(record, lifecycle.attribute)
    after = lifecycle.table[before].get(event)
    if after is None:
        raise IllegalMove(_story(lifecycle, record, before, event, recent))
    setattr(record, lifecycle.attribute, after)
    if recent is not None:
        recent.add((record, before, event, after))


def identify(record: Any) -> object:
    """Return a key that distinguishes the record from all others in ``Recent``."""
    app_id = getattr(record, "app_id", None)
    if app_id is not None:
        return app_id, getattr(record, "id", None) or getattr(record, "executor_id", 0)
    return getattr(record, "id", None) or getattr(record, "key", None) or id(record)


_TOLD = (
    *("id", "app_id", "executor_id", "number", "key", "worker_id", "attempt", "pid", "restarts", "kill_requested"),
    *("killed", "started", "ended", "reason"),
)


def _story(lifecycle: Lifecycle[S, E], record: Any, before: S, event: E, recent: Recent | None) -> str:
    known = [(name, getattr(record, name, None)) for name in _TOLD]
    facts = ", ".join(f"{name} {value!r}" for name, value in known if value not in (None, "", 0, False))
    moves = recent.of(identify(record)) if recent is not None else []
    past = "; ".join(f"{move.before.name} -{move.event.name}-> {move.after.name}" for move in moves)
    return (
        f"illegal move: a {lifecycle.kind} that is {before.name} cannot have {event.name} ({event.value})."
        f" It has {facts or 'nothing else'}. Its latest moves: {past or 'none'}."
        " This is a bug: please report this line"
    )
