"""Bugs in the keeper's journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from stoker.worker.keeper.journal import JobNote, Journal
from tests.simulation.disk import NotesFile
from tests.simulation.keeper import SimulatedKeeper


@contextmanager
def unwritten_intent() -> Iterator[None]:
    """A keeper starts a process before its journal names it."""

    def intent(self: Journal, key: str, note: str, started: float) -> None:
        self.notes[key] = JobNote(key, started, note)

    with patch.object(Journal, "intent", intent):
        yield


@contextmanager
def unread_notes() -> Iterator[None]:
    """A keeper does not report the ends that it finds in its journal."""
    with patch.object(SimulatedKeeper, "_restore", lambda self: setattr(self, "_lost", set(self._journal.lost))):
        yield


@contextmanager
def unnamed_loss() -> Iterator[None]:
    """A keeper vouches for earlier daemons, and keeps quiet about jobs whose end nobody saw."""
    with patch.object(SimulatedKeeper, "_restore", _without_losses(SimulatedKeeper._restore)):
        yield


def _without_losses(restore: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(self: Any) -> None:
        restore(self)
        self._lost.clear()

    return run


@contextmanager
def unsynced_end() -> Iterator[None]:
    """An end that nobody has acknowledged is never synced."""
    with patch.object(NotesFile, "sync", lambda self: None):
        yield


@contextmanager
def trusted_after_a_power_cut() -> Iterator[None]:
    """A journal that was written before a power cut is taken for complete."""
    make = Journal.__init__

    def trusting(self: Journal, file: Any, boot: str) -> None:
        make(self, file, "0")

    with patch.object(Journal, "__init__", trusting):
        yield
