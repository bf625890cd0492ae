"""The contract of every recovery engine (docs/high-availability.md, spec 13.1).

Engines keep opaque bytes; ``recovery.records`` knows their meaning. ``tests/contract/test_recovery.py`` tests this contract
for each engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from stoker.errors import StokerError


class StorageFailed(StokerError):
    """The store could not be opened, read or written; its content is the same as before the call."""


class Superseded(StorageFailed):
    """Another master leads by now: nothing was written, and this master's later writes will fail, too."""


class RecoveryEngine(ABC):
    """A durable map of record keys to bytes, owned by one master at a time. Every method raises StorageFailed."""

    is_durable: bool = True  # False: the engine keeps nothing, so records need not be encoded

    @abstractmethod
    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        """Write a whole batch, durably and atomically; None deletes a key, whether or not it exists.

        After StorageFailed the store has no part of the batch. One exception: when the medium itself fails while it makes
        the batch durable, a later master may find all of it; never a part."""

    @abstractmethod
    def read(self) -> dict[str, bytes]:
        """Return all readable records. Unreadable ones are quarantined and named in the log."""

    @abstractmethod
    def quarantine(self, key: str, reason: str) -> None:
        """Put an unusable record aside; it is named in the log and never deleted."""

    @abstractmethod
    def close(self) -> None:
        """Release the store for another master. Closing twice does nothing."""
