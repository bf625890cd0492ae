"""Bugs in the store, in the order of writes and messages, and in recovery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from stoker.core.master import (
    recovery,
)
from stoker.core.master.books import Books
from stoker.core.master.context import Context
from stoker.core.master.effects import Batch, Effect, Persist, Send, batch_of
from tests.simulation import master
from tests.simulation.mutants.left_out import left_out
from tests.simulation.storage import Ensemble, FencedEngine


@contextmanager
def skip_fence() -> Iterator[None]:
    """A deposed leader's writes are applied."""
    with patch.object(FencedEngine, "check_fence", left_out):
        yield


@contextmanager
def same_epoch() -> Iterator[None]:
    """An election does not raise the epoch."""
    elect = Ensemble._elect

    def keep(self: Ensemble) -> None:
        before = self.epoch
        self.epoch = max(0, before - 1)
        elect(self)
        self.epoch = max(before, self.epoch)

    with patch.object(Ensemble, "_elect", keep):
        yield


@contextmanager
def send_before_persist() -> Iterator[None]:
    """Messages that depend on a batch's records are sent before the records are written."""

    def release(self: master.Master, effects: list[Effect]) -> Iterator[float]:
        batch = batch_of(effects)
        for effect in batch.after:
            if isinstance(effect, Send):
                self._send(effect.peer, effect.message)
        yield from original(self, [effect for effect in effects if not isinstance(effect, Send)])

    original = master.Master._release
    with patch.object(master.Master, "_release", release):
        yield


@contextmanager
def lost_write() -> Iterator[None]:
    """The record of a submission is not written."""

    def without(effects: list[Effect]) -> Batch:
        batch = batch_of(effects)
        writes: Mapping[str, Any] = batch.writes
        return replace(batch, writes={key: value for key, value in writes.items() if not key.startswith("driver/")})

    with patch.object(master, "batch_of", without):
        yield


@contextmanager
def reused_id() -> Iterator[None]:
    """The counters are not recorded, and ids on record are not reserved. (The clock stands still, or all ids would
    differ.)"""
    with (
        patch.object(Context, "save_counters", left_out),
        patch.object(Books, "reserve_id", left_out),
        patch("stoker.core.master.books._stamp", lambda wall: "20270101000000"),
    ):
        yield


@contextmanager
def hasty_recovery() -> Iterator[None]:
    """A new master declares the drivers of absent workers lost at once, and does not wait for their keepers."""

    def give_up(ctx: Context, worker: Any) -> None:
        worker.reconnect_until = ctx.now.mono
        ctx.wake_at(worker.reconnect_until, f"worker-reconnect {worker.record.id}")

    with patch.object(recovery, "_wait_for_keeper", give_up):
        yield


@contextmanager
def forgotten_kill() -> Iterator[None]:
    """The kill of a driver is not recorded."""
    save = Context.save_driver

    def without(self: Context, record: Any) -> None:
        save(self, record)
        effect = self._effects[-1]
        assert isinstance(effect, Persist)
        if record.kill_requested and not record.state.is_final:
            copy = type(record)(
                **{name: getattr(record, name) for name in record.__struct_fields__} | {"kill_requested": False}
            )
            self._effects[-1] = Persist(effect.key, copy)

    with patch.object(Context, "save_driver", without):
        yield
