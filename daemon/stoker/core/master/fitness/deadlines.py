"""The end of a draining worker's patience: at the deadline of ``stoker drain --deadline`` what still runs there is stopped.
Supervised drivers and executors start again elsewhere; other drivers end as KILLED.

The deadline is in the drain mark, which survives restarts of both sides; a new master looks at it when the worker registers.
"""

from __future__ import annotations

import logging

from stoker.core.master import executors
from stoker.core.master.books import Worker
from stoker.core.master.context import Context
from stoker.core.model.messages import KillDriver


def arm(ctx: Context, worker: Worker) -> None:
    """Look at the worker again at its deadline, if it has one."""
    mark = worker.record.drain
    if mark.draining and mark.until:
        ctx.wake_at(ctx.now.mono + max(0.0, mark.until - ctx.now.wall), f"drain-deadline {worker.record.id}")


def due(ctx: Context, worker_id: str) -> None:
    """Stop what runs on the worker, if its deadline has come."""
    worker = ctx.books.workers.get(worker_id)
    if worker is None or worker.peer is None:
        return
    mark = worker.record.drain
    if mark.draining and mark.until > ctx.now.wall:  # it was changed, or the clock was set back
        arm(ctx, worker)
    if not mark.is_overdue(ctx.now.wall):
        return
    why = mark.why(worker.record.address)
    left = len(worker.drivers) + len(worker.executors)
    if left:
        ctx.log(f"{worker_id}: the deadline of its drain has come; stopping {left} drivers and executors", logging.INFO)
    for driver_id in sorted(worker.drivers):
        driver = ctx.books.drivers[driver_id]
        driver.evicted = why
        ctx.send(worker.peer, KillDriver(epoch=ctx.epoch, driver_id=driver_id, attempt=driver.record.attempt))
    for app_id, executor_id in sorted(worker.executors):
        app = ctx.books.apps[app_id]
        executors.evict(ctx, app, app.executors[executor_id], why)
