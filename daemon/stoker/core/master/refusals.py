"""Workers that cannot start jobs for reasons of their own: a full disk, a folder that cannot be written, no more processes.

A refusal is no failure of the job: it is placed again, elsewhere. The worker gets nothing for a while, so that it does not
swallow one job after another, and then one more: its disk may have room again. Each refusal in a row doubles that time.
"""

from __future__ import annotations

import logging

from stoker.core.master.books import Worker
from stoker.core.master.context import Context


def refused(ctx: Context, worker: Worker, job: str, reason: str) -> None:
    """Note that the worker refused ``job``, and avoid it for a while."""
    worker.refusal = reason
    if worker.avoided_until is not None:  # placed before the first refusal came
        return
    wait = min(ctx.policy.avoid_first * 2.0 ** min(worker.refusals, 30), ctx.policy.avoid_cap)
    worker.refusals += 1
    worker.avoided_until = ctx.now.mono + wait
    ctx.wake_at(worker.avoided_until, f"worker-avoided {worker.record.id}")
    ctx.log(f"{worker.record.id} refused {job}: {reason}; nothing is placed there for {wait:g} s", logging.WARNING)


def avoided_due(ctx: Context, worker_id: str) -> None:
    """The time is up: the worker is tried again."""
    worker = ctx.books.workers.get(worker_id)
    if worker is not None and worker.avoided_until is not None and worker.avoided_until <= ctx.now.mono:
        worker.avoided_until = None
        ctx.schedule_wanted = True


def started(worker: Worker) -> None:
    """A job has started there: what made it refuse others is over."""
    worker.refusal, worker.refusals = "", 0
