"""Submitted drivers that are not in the queue: somebody holds them, or they await the ends of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stoker.core.master.sharing.accounts import Account


class Parked:
    """Driver ids, and how many there are of each pool and principal: they count as waiting (``max: queued``)."""

    def __init__(self) -> None:
        self._account_of: dict[str, Account] = {}
        self._waiting: Counter[Account] = Counter()

    def add(self, driver_id: str, account: Account) -> None:
        self.discard(driver_id)
        self._account_of[driver_id] = account
        self._waiting[account] += 1

    def discard(self, driver_id: str) -> None:
        account = self._account_of.pop(driver_id, None)
        if account is not None:
            self._waiting[account] -= 1
            if not self._waiting[account]:
                del self._waiting[account]

    def waiting(self, pool: str, principal: str | None = None) -> int:
        """Return how many of the pool there are, of one principal or of all."""
        if principal is not None:
            return self._waiting[pool, principal]
        return sum(count for (name, _), count in self._waiting.items() if name == pool)

    def __contains__(self, driver_id: object) -> bool:
        return driver_id in self._account_of

    def __len__(self) -> int:
        return len(self._account_of)

    def __iter__(self) -> Iterator[str]:
        return iter(self._account_of)
