"""What survives a master: the contract of every recovery engine (docs/high-availability.md, spec 13.1).

Engines keep opaque bytes; ``recovery.records`` knows what they mean. ``tests/contract/test_recovery.py`` is this
contract as tests, for each of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from stoker.errors import StokerError


class StorageFailed(StokerError):
    """The store could not be opened, read or written; it reads as it did before the call."""


class Superseded(StorageFailed):
    """Another master leads by now: nothing was written, and nothing ever will be by this one."""


class RecoveryEngine(ABC):
    """A durable map of record keys to bytes, owned by one master at a time. Every method raises StorageFailed."""

    is_durable: bool = True  # False: nothing is kept, so records need not even be encoded

    @abstractmethod
    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        """One durable, atomic write of a whole batch; None deletes, whether or not the key is there.

        After StorageFailed nothing of the batch is there. One exception: when the medium itself fails while it makes
        the batch durable, a later master may find all of it; never a part."""

    @abstractmethod
    def read(self) -> dict[str, bytes]:
        """All readable records. Unreadable ones are quarantined and named in the log."""

    @abstractmethod
    def quarantine(self, key: str, reason: str) -> None:
        """Put a record aside that cannot be used; it is named in the log and never deleted."""

    @abstractmethod
    def close(self) -> None:
        """Let another master have the store. Closing twice does nothing."""
