"""What a worker knows of its keeper's predecessors. A keeper outlives the daemon that started it, and is replaced when it
dies; masters must learn which jobs surely never ran, and which ones ended unseen (spec 11.3, ADR 3)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from stoker.core.worker.jobs import driver_of


class Succession:
    def __init__(self) -> None:
        self.heir_of: tuple[str, ...] = ()  # earlier daemons of the present keeper: it knows what they have started
        self._lost: tuple[str, ...] = ()  # keys of jobs of an earlier keeper, until a master knows that they are lost
        self._orphaned: set[str] = set()  # keys of jobs whose keeper died

    @property
    def lost_drivers(self) -> tuple[tuple[str, int], ...]:
        """Drivers and attempts that may have run and whose end nobody saw."""
        return tuple(driver for key in self._lost if (driver := driver_of(key)) is not None)

    def keeper_lost(self, keys: Iterable[str]) -> None:
        """Note the loss of the keeper that had the jobs ``keys``."""
        self._orphaned.update(keys)

    def keeper_back(
        self, name: str, known: Container[str], served: Sequence[str], lost: Sequence[str], kept: Sequence[str]
    ) -> list[str]:
        """Return the keys of jobs that ended unseen, in order. ``name`` is this daemon, ``known`` the keys of its jobs; the
        others as in ``WorkerCore.keeper_back``."""
        self.heir_of = tuple(other for other in served if other != name)
        self._lost = tuple(key for key in lost if key not in known)
        orphaned, self._orphaned = sorted(self._orphaned.difference(kept)), set()
        return orphaned

    def told(self) -> tuple[str, ...]:
        """Forget the lost jobs, because a master has written them down; return their keys."""
        lost, self._lost = self._lost, ()
        return lost
