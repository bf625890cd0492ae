"""Bugs in what a job waits for besides room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from stoker.core.master import drivers, recovery
from stoker.core.master.context import Context
from stoker.core.master.waiting import after, dry_run


@contextmanager
def ignored_hold() -> Iterator[None]:
    """A held driver is queued again when its attempt has ended."""
    enqueue = drivers.enqueue

    def always(ctx: Context, driver: Any, *, first: bool = False) -> None:
        if driver.record.attempts:
            driver.record.hold = None
        enqueue(ctx, driver, first=first)

    with patch.object(drivers, "enqueue", always):
        yield


@contextmanager
def forgotten_hold() -> Iterator[None]:
    """A new master does not know which jobs are held."""
    load = recovery.load

    def without(ctx: Context, records: Mapping[str, Any]) -> None:
        for record in records.values():
            if hasattr(record, "hold"):
                record.hold = None
        load(ctx, records)

    with patch.object(recovery, "load", without):
        yield


@contextmanager
def early_child() -> Iterator[None]:
    """A driver is queued at once, whatever it is to start after."""

    def begin(*_: Any) -> str:
        return ""

    with patch.object(after, "begin", begin):
        yield


@contextmanager
def forgotten_child() -> Iterator[None]:
    """The end of a driver does not reach those that wait for it."""
    with patch.object(after, "parent_ended", lambda *_: iter(())):
        yield


@contextmanager
def child_of_a_failure() -> Iterator[None]:
    """A driver is started after any end of its parents."""
    with patch.object(after, "_broken", lambda *_: ""):
        yield


@contextmanager
def dropped_parents() -> Iterator[None]:
    """A new master starts drivers that waited for others."""
    load = recovery.load

    def without(ctx: Context, records: Mapping[str, Any]) -> None:
        for record in records.values():
            if hasattr(record, "awaits"):
                record.awaits = ()
        load(ctx, records)

    with patch.object(recovery, "load", without):
        yield


@contextmanager
def hopeful_dry_run() -> Iterator[None]:
    """A dry run does not ask for room or limits."""
    with patch.object(dry_run, "would_place_driver", lambda *_: True):
        yield
