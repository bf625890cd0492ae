"""Use of the cluster over the last hour: samples in a ring of fixed size."""

from __future__ import annotations

from stoker.core.master.books import Books
from stoker.core.model.states import ApplicationState, WorkerState
from stoker.core.model.views import Sample

INTERVAL = 5.0  # seconds from sample to sample
KEPT = 720  # samples: one hour


class History:
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
    queued = len(books.queue)
    waiting_apps = sum(app.record.state is ApplicationState.WAITING for app in books.apps.values())
    return Sample(
        at=wall,
        workers=len(alive),
        cores=sum(worker.record.cores for worker in alive),
        cores_used=sum(worker.cores_used for worker in alive),
        memory_mib=sum(worker.record.memory_mib for worker in alive),
        memory_used_mib=sum(worker.memory_used for worker in alive),
        drivers=len(books.drivers) - queued,
        drivers_waiting=queued,
        apps=len(books.apps) - waiting_apps,
        apps_waiting=waiting_apps,
    )
