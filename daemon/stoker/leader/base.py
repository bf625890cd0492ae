"""Who leads: the contract between a master's shell and what elects it (DESIGN 3.2, spec 13.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Elected:
    """This master leads. ``epoch`` is higher than that of every leader before it, and on record: it goes into each
    command."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """This master leads no more, or cannot know: it must not send nor write anything, and end itself."""

    reason: str


LeadershipEvent = Elected | Revoked


class Leadership(ABC):
    """Tells one master when it leads."""

    @abstractmethod
    def start(self, on_event: Callable[[LeadershipEvent], None]) -> None:
        """Stand for election. Events come in order, possibly from another thread and before this returns: ``on_event``
        should only enqueue. Raises StokerError when there can be no election."""

    @abstractmethod
    def release(self) -> None:
        """Withdraw, so that another master may lead at once. No event follows."""
