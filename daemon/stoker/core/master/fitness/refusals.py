"""Workers that cannot start jobs: their disk is full, a folder is not writable, or no more processes are allowed.

A refusal is not a failure of the job, which is placed again, elsewhere. The worker gets no job for a while, so that it does
not refuse one after another; then it gets one, because its disk may have room again. Each refusal in a row doubles that time.
"""

from __future__ import annotations

import logging

from stoker.core.master.books import Worker
from stoker.core.master.context import Context


def refused(ctx: Context, worker: Worker, job: str, reason: str) -> None:
    """Note that the worker refused ``job``, and avoid it for a while."""
    worker.refusal = reason
    ctx.tally.jobs_refused += 1
    if worker.avoided_until is not None:  # placed before the first refusal came
        return
    wait = min(ctx.policy.avoid_first * 2.0 ** min(worker.refusals, 30), ctx.policy.avoid_cap)
    worker.refusals += 1
    worker.avoided_until = ctx.now.mono + wait
    ctx.wake_at(worker.avoided_until, f"worker-avoided {worker.record.id}")
    ctx.log(f"{worker.record.id} refused {job}: {reason}; no job is placed there for {wait:g} s", logging.WARNING)


def avoided_due(ctx: Context, worker_id: str) -> None:
    """Place jobs on the worker again once its pause has ended."""
    worker = ctx.books.workers.get(worker_id)
    if worker is not None and worker.avoided_until is not None and worker.avoided_until <= ctx.now.mono:
        worker.avoided_until = None
        ctx.schedule_wanted = True


def started(worker: Worker) -> None:
    """Forget the worker's refusals: a job has started there, so their cause no longer exists."""
    worker.refusal, worker.refusals = "", 0
