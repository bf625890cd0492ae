"""Bugs in reservations: who has one, how much is reserved, and who keeps out of it; and in gangs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from stoker.core.master.scheduling.placement import AppNeed, Offer
from stoker.core.master.scheduling.reservation import Reserver
from stoker.core.master.sharing import reserving


@contextmanager
def reserved_at_once() -> Iterator[None]:
    """Whoever does not fit reserves room, however short it has waited."""
    made = Reserver.__init__

    def impatient(self: Reserver, *args: Any, **more: Any) -> None:
        made(self, *args, **{**more, "is_due": lambda _: True})

    with patch.object(Reserver, "__init__", impatient):
        yield


@contextmanager
def unreserved() -> Iterator[None]:
    """Nobody gets a reservation, however long it waits."""
    with patch.object(Reserver, "reserve", lambda *_, **__: False):
        yield


@contextmanager
def reserved_without_end() -> Iterator[None]:
    """A running job without a time limit counts as one that ends at once."""
    ends = reserving._ends

    def soon(started: float, limit: float, wall: float) -> float:
        return ends(started, limit, wall) if limit else 0.0

    with patch.object(reserving, "_ends", soon):
        yield


@contextmanager
def ignored_window() -> Iterator[None]:
    """Any job may use a reserved worker, however long it runs."""
    with patch.object(Offer, "_ends_before", lambda *_: True):
        yield


@contextmanager
def gang_in_parts() -> Iterator[None]:
    """A gang begins with as many executors as fit."""
    with patch.object(AppNeed, "has_room", lambda self, offers: True):
        yield


@contextmanager
def gang_never_fits() -> Iterator[None]:
    """A gang waits until more fit than it needs."""
    has_room = AppNeed.has_room

    def more(self: AppNeed, offers: list[Offer]) -> bool:
        return has_room(replace(self, at_once=self.at_once + 1) if self.at_once > 1 else self, offers)

    with patch.object(AppNeed, "has_room", more):
        yield
