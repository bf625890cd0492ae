"""The contract between a master's shell and the election that decides who leads (docs/protocol.md, spec 13.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

# Half of the largest number on the wire, a signed 64-bit one: above the largest there is no higher epoch that could win.
HIGHEST_EPOCH = 2**62


def parse_epoch(text: str) -> int | None:
    """Return the epoch in a stored text; None if it is not an epoch. It is not guessed: workers would refuse a master whose
    epoch is lower than the last."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    epoch = int(text)
    return epoch if epoch < HIGHEST_EPOCH else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A master that stands for election: the addresses under which others reach it."""

    address: str  # HOST:PORT
    webui_url: str = ""


@dataclass(frozen=True, slots=True)
class Elected:
    """This master leads. ``epoch`` is higher than that of every earlier leader, and recorded; each command carries it."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """This master does not lead any longer: it must not send or write anything, and must close its connections."""

    reason: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """It is unknown at the moment whether this master leads: it must not send or write anything until ``Thawed``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Thawed:
    """This master still leads, and has led all the time."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Another master leads. ``leader`` is None while no master does; ``reason`` then says why."""

    leader: Candidate | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Roster:
    """All masters that stand for election, unordered: their addresses, and the URLs of their dashboards."""

    addresses: tuple[str, ...]
    dashboards: tuple[str, ...] = ()


LeadershipEvent = Elected | Revoked | Frozen | Thawed | Follow | Roster


class Leadership(ABC):
    """Notifies one master when it leads. ``Revoked`` is the last event: a new instance stands for election again."""

    @abstractmethod
    def start(self, on_event: Callable[[LeadershipEvent], None]) -> None:
        """Stand for election. Events come in order, possibly from another thread and before this returns: ``on_event``
        should only enqueue. Raises StokerError when no election is possible."""

    @abstractmethod
    def release(self) -> None:
        """Withdraw, so that another master may lead at once. No event follows. A second call does nothing."""
