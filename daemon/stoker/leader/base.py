"""Who leads: the contract between a master's shell and what elects it (docs/protocol.md, spec 13.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

# Half of the largest number on the wire, which is a signed 64-bit one: no higher epoch could win after that one.
HIGHEST_EPOCH = 2**62


def parse_epoch(text: str) -> int | None:
    """The epoch in what a store keeps; None for anything else. It is not guessed: workers would refuse a master whose
    epoch is lower than the last."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    epoch = int(text)
    return epoch if epoch < HIGHEST_EPOCH else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A master that stands for election: what others must know to reach it."""

    address: str  # HOST:PORT
    webui_url: str = ""


@dataclass(frozen=True, slots=True)
class Elected:
    """This master leads. ``epoch`` is higher than that of every leader before it, and on record: it goes into each
    command."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """This master leads no more: it must not send nor write anything, and drop its connections."""

    reason: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """Whether this master leads cannot be known at the moment: it must not send nor write anything until ``Thawed``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Thawed:
    """It leads still, and has all the time."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Another master leads; ``leader`` is None while there is none, and ``reason`` says what is known about it."""

    leader: Candidate | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Roster:
    """The addresses of all masters that stand for election, in no order."""

    addresses: tuple[str, ...]


LeadershipEvent = Elected | Revoked | Frozen | Thawed | Follow | Roster


class Leadership(ABC):
    """Tells one master when it leads. After ``Revoked`` nothing more comes: a new one stands for election again."""

    @abstractmethod
    def start(self, on_event: Callable[[LeadershipEvent], None]) -> None:
        """Stand for election. Events come in order, possibly from another thread and before this returns: ``on_event``
        should only enqueue. Raises StokerError when there can be no election."""

    @abstractmethod
    def release(self) -> None:
        """Withdraw, so that another master may lead at once. No event follows. A second call does nothing."""
