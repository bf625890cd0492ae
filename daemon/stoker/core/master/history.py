"""What is kept of the past: the usage of the last hour, as samples, and ended jobs up to the retained limits (spec 5.1)."""

from __future__ import annotations

from itertools import islice

from stoker.core.master.arrays.booking import keys_of, too_large
from stoker.core.master.books import Books
from stoker.core.master.context import Context
from stoker.core.model.records import app_key, executor_key
from stoker.core.model.states import ApplicationState, WorkerState
from stoker.core.model.views import Sample

INTERVAL = 5.0  # seconds from sample to sample
KEPT = 720  # samples: one hour


class Samples:
    """The samples. The tuple ``samples`` is replaced, never changed: other threads may read it at any time."""

    def __init__(self) -> None:
        self.samples: tuple[Sample, ...] = ()

    def add(self, sample: Sample) -> None:
        self.samples = (*self.samples[-(KEPT - 1) :], sample)


def take_sample(books: Books, wall: float) -> Sample:
    """Count what the cluster has and uses, without draining workers. ``wall``: seconds since the Unix epoch."""
    alive = [
        worker
        for worker in books.workers.values()
        if worker.record.state is WorkerState.ALIVE and not worker.record.drain.draining
    ]
    queued = len(books.queue) + len(books.parked)
    waiting_apps = sum(app.record.state is ApplicationState.WAITING for app in books.apps.values())
    return Sample(
        at=wall,
        workers=len(alive),
        cores=sum(worker.record.cores for worker in alive),
        cores_used=sum(worker.cores_used for worker in alive),
        memory_mib=sum(worker.record.memory_mib for worker in alive),
        memory_used_mib=sum(worker.memory_used for worker in alive),
        drivers=len(books.drivers) - queued - len(books.relaunching),
        drivers_waiting=queued + sum(head.tasks.left - 1 for head in books.arrays.values() if head.tasks is not None),
        apps=len(books.apps) - waiting_apps,
        apps_waiting=waiting_apps,
    )


def trim_drivers(ctx: Context, keep: int) -> None:
    """Remove the oldest ended drivers beyond ``keep``, except those for which others wait, and arrays beyond their limit."""
    books = ctx.books
    excess = max(0, len(books.completed_drivers) - keep)
    oldest_first = islice(books.completed_drivers, excess + len(books.waited_for)) if excess else ()
    too_many = [each for each in oldest_first if each not in books.waited_for][:excess]
    for oldest in dict.fromkeys((*too_many, *too_large(books))):
        old = books.completed_drivers.pop(oldest)
        books.forget(oldest, old.record.token)
        for key in keys_of(old):
            ctx.forget(key)


def trim_apps(ctx: Context, keep: int) -> None:
    """Remove the oldest ended applications beyond ``keep``."""
    books = ctx.books
    while len(books.completed_apps) > keep:
        oldest = next(iter(books.completed_apps))
        old = books.completed_apps.pop(oldest)
        books.forget(oldest, old.record.token)
        for executor in old.removed:
            ctx.forget(executor_key(oldest, executor.id))
        ctx.forget(app_key(oldest))
