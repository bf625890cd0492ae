"""Bugs in the life of a driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from stoker.core.master import (
    driver_reports,
    drivers,
    vouching,
)
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.model.lifecycles import DRIVER, DriverEvent
from stoker.core.model.messages import LaunchDriver
from stoker.core.model.principal import Asker
from stoker.core.model.values import Exit


@contextmanager
def double_launch() -> Iterator[None]:
    """A driver's launch command goes to a second worker too."""
    launch = drivers.launch

    def twice(ctx: Context, driver: Any, worker: Any) -> None:
        launch(ctx, driver, worker)
        for other in ctx.books.workers.values():
            if other is not worker and other.peer is not None:
                record = driver.record
                ctx.send(
                    other.peer,
                    LaunchDriver(
                        epoch=ctx.epoch, driver_id=record.id, attempt=record.attempt, driver=record.description
                    ),
                )
                return

    with patch.object(drivers, "launch", twice):
        yield


@contextmanager
def kill_without_report() -> Iterator[None]:
    """A killed driver is booked as ended before its worker reports it."""
    kill = drivers.kill

    def at_once(ctx: Context, peer: bytes | None, request: int, driver_id: str, *, by: Asker) -> None:
        kill(ctx, peer, request, driver_id, by=by)
        driver = ctx.books.drivers.get(driver_id)
        if driver is not None and driver.record.kill_requested:
            ctx.books.release_driver(driver)
            drivers.finish(ctx, driver, DriverEvent.KILLED, "killed on request")

    with patch.object(drivers, "kill", at_once):
        yield


@contextmanager
def stale_report() -> Iterator[None]:
    """A report about an earlier attempt is taken for one about the latest."""
    state_changed = driver_reports.state_changed

    def any_attempt(ctx: Context, worker: Any, peer: bytes, message: Any) -> None:
        driver = ctx.books.drivers.get(message.driver_id)
        if driver is not None and driver.record.attempts:
            worker = ctx.books.workers.get(driver.record.attempts[-1].worker_id, worker)
            message = type(message)(
                **{name: getattr(message, name) for name in message.__struct_fields__}
                | {"attempt": driver.record.attempt}
            )
        state_changed(ctx, worker, peer, message)

    with patch.object(driver_reports, "state_changed", any_attempt):
        yield


@contextmanager
def ignored_token() -> Iterator[None]:
    """A repeated submission makes a second driver."""
    submit = drivers.submit

    def afresh(ctx: Context, event: Received, message: Any) -> None:
        ctx.books.tokens.pop(message.token, None)
        submit(ctx, event, message)

    with patch.object(drivers, "submit", afresh):
        yield


@contextmanager
def hasty_replacement() -> Iterator[None]:
    """A crashed worker's drivers are started elsewhere at once."""

    def lost(ctx: Context, driver: Any) -> None:
        drivers.lost(ctx, driver, "its worker is unreachable")

    with patch.object(drivers, "worker_disconnected", lost):
        yield


@contextmanager
def second_run() -> Iterator[None]:
    """A driver that is not supervised and may have been started is placed again."""
    never_started = drivers.never_started

    def hopeful(ctx: Context, driver: Any, *, surely: bool, renumber: bool = False) -> None:
        never_started(ctx, driver, surely=True, renumber=renumber or not surely)

    with patch.object(drivers, "never_started", hopeful):
        yield


@contextmanager
def ignored_end() -> Iterator[None]:
    """A driver that was declared lost stays ERROR, although its worker reports how it ended."""
    with patch.object(driver_reports, "_true_end", lambda ctx, worker, report: False):
        yield


@contextmanager
def counted_refusal() -> Iterator[None]:
    """A driver that a worker refused for its own reasons ends as ERROR."""

    def end(ctx: Context, driver: Any, worker: Any, reason: str) -> None:
        drivers.ended(ctx, driver, DriverEvent.ERROR, Exit(reason=reason, refused=True))

    with patch.object(drivers, "refused", end):
        yield


@contextmanager
def second_end() -> Iterator[None]:
    """A driver that is killed while its worker is unreachable ends, and is then queued again like a supervised one."""
    lost = drivers.lost

    def again(ctx: Context, driver: Any, why: str) -> None:
        lost(ctx, driver, why)
        if driver.record.kill_requested:
            ctx.move(DRIVER, driver.record, DriverEvent.REQUEUED)
            drivers.enqueue(ctx, driver)

    with patch.object(drivers, "lost", again):
        yield


@contextmanager
def believed_report() -> Iterator[None]:
    """A worker's report counts wherever the books have placed the job."""
    with patch.object(vouching, "is_placed", lambda worker, placed: True):
        yield


@contextmanager
def freed_id() -> Iterator[None]:
    """The id of a worker that is dead and not expected back may be registered with any key."""
    with patch.object(vouching, "has_worker_seal", lambda ctx, event, message: True):
        yield


@contextmanager
def requeued_invention() -> Iterator[None]:
    """A driver that a worker reported without a seal, and then did not report again, is started elsewhere."""
    never_started, refused = drivers.never_started, drivers.refused

    def proved(ctx: Context, driver: Any, *rest: Any, **options: Any) -> None:
        driver.record.unsealed = False
        never_started(ctx, driver, *rest, **options)

    def proved_too(ctx: Context, driver: Any, *rest: Any) -> None:
        driver.record.unsealed = False
        refused(ctx, driver, *rest)

    with patch.object(drivers, "never_started", proved), patch.object(drivers, "refused", proved_too):
        yield
