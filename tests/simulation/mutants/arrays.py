"""Bugs in arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from stoker.core.master.arrays import booking
from stoker.core.master.arrays.tasks import KILLED, WAITING, Tasks
from stoker.core.master.context import Context
from tests.simulation.mutants.left_out import left_out


@contextmanager
def unwritten_chunk() -> Iterator[None]:
    """What has become of the tasks of an array is not recorded."""
    with patch.object(Context, "save_chunk", left_out):
        yield


@contextmanager
def unasked_limit() -> Iterator[None]:
    """The limit of tasks that run at once is ignored."""
    with patch.object(Tasks, "room", property(lambda self: len(self.again) + self.counts[WAITING])):
        yield


@contextmanager
def skipped_index() -> Iterator[None]:
    """A new master leaves out the next index of an array."""
    load = Tasks.load

    def skipping(self: Tasks, chunks: int, records: Any) -> None:
        load(self, chunks, records)
        if self.counts[WAITING] > 1:
            self.set(self.states.index(WAITING), KILLED)

    with patch.object(Tasks, "load", skipping):
        yield


@contextmanager
def unnoted_end() -> Iterator[None]:
    """The end of a task does not reach its array."""
    with patch.object(booking, "ended", left_out):
        yield


@contextmanager
def last_index_first() -> Iterator[None]:
    """The tasks of an array start from the last one."""

    def start_next(self: Tasks) -> int:
        position = self.states.rindex(WAITING)
        self.set(position, 2)
        return position

    with patch.object(Tasks, "start_next", start_next):
        yield
