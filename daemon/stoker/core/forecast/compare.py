"""The same cluster twice: as it is, and with changes; when would what waits start?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from stoker.core.forecast.lengths import Lengths, Source
from stoker.core.forecast.play import Play
from stoker.core.forecast.rebuild import PROGRAM, Snapshot, numbered, rebuild
from stoker.core.master.machine import MasterCore
from stoker.core.model.changes import ForecastRow
from stoker.core.model.messages import Failed, SubmitDriver, Submitted
from stoker.core.model.pools import DEFAULT_POOL, Pools
from stoker.core.model.resources import Addresses, Amounts
from stoker.core.model.states import ApplicationState, DriverState, WorkerState
from stoker.core.model.values import DriverDescription, Rng
from stoker.core.model.views import AppView, ClusterView, DriverView, WorkerView

_ASKER = b"what-if"


class NewWorkers(NamedTuple):
    """``resources``: how many of each named one a worker has."""

    number: int
    cores: int
    memory_mib: int
    resources: Amounts = ()


class NewDrivers(NamedTuple):
    """``seconds``: how long each runs; 0: unknown."""

    number: int
    cores: int
    memory_mib: int
    resources: Amounts = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ClusterChanges:
    """``remove``: ids of workers that get nothing new; what runs on them ends there. ``pools``: in place of the present
    ones."""

    add: tuple[NewWorkers, ...] = ()
    remove: tuple[str, ...] = ()
    pools: Pools | None = None
    submit: tuple[NewDrivers, ...] = ()
    pool: str = ""  # of what is submitted
    priority: int | None = None


class Forecast(NamedTuple):
    """``refused``: why the master would not accept what is to be submitted. ``sources``: how many lengths came from where."""

    rows: list[ForecastRow]
    sources: dict[Source, int]
    assumed: float
    refused: str = ""


def forecast(
    snapshot: Snapshot, changes: ClusterChanges, new_rng: Callable[[], Rng], assumed: float | None = None
) -> Forecast:
    """Play the snapshot forward twice. ``assumed``: as in ``Lengths``; ``new_rng`` makes two generators of the same seed."""
    snapshot = Snapshot(numbered(snapshot.cluster), snapshot.scheduling)
    lengths = Lengths(snapshot.cluster, assumed)
    waiting = [job for job in _jobs(snapshot) if _waits(job)]
    before, _ = _played(snapshot, ClusterChanges(), lengths, waiting, new_rng())
    after, new = _played(snapshot, changes, lengths, waiting, new_rng())
    sources = Counter(lengths.of(job).source for job in _jobs(snapshot))
    if isinstance(new, str):
        return Forecast([], dict(sources), lengths.assumed, new)
    rows = [
        ForecastRow(
            id=job.id,
            name=_name(job),
            who=job.who,
            pool=job.pool or DEFAULT_POOL,
            before=before.starts.get(job.id),
            after=after.starts.get(job.id),
        )
        for job in waiting
    ]
    rows += [
        ForecastRow(
            id="",
            name=name,
            who=snapshot.scheduling.principal,
            pool=changes.pool or DEFAULT_POOL,
            before=None,
            after=after.starts.get(job_id),
            is_new=True,
        )
        for job_id, name in new
    ]
    return Forecast(rows, dict(sources), lengths.assumed)


def live_ids(cluster: ClusterView, name: str) -> list[str]:
    """Return the ids of the live workers of that id, HOST:PORT or HOST."""
    return [worker.id for worker in cluster.live_workers if name in (worker.id, worker.address, worker.host)]


def _jobs(snapshot: Snapshot) -> Iterator[DriverView | AppView]:
    yield from snapshot.cluster.active_drivers
    yield from snapshot.cluster.active_apps


def _waits(job: DriverView | AppView) -> bool:
    if isinstance(job, DriverView) and job.array is not None:
        return job.array.waiting > 0
    return job.state in (DriverState.SUBMITTED, DriverState.RELAUNCHING, ApplicationState.WAITING)


def _tasks(waiting: list[DriverView | AppView]) -> dict[str, int]:
    """Return how many tasks of each array wait."""
    return {job.id: job.array.waiting for job in waiting if isinstance(job, DriverView) and job.array is not None}


def _name(job: DriverView | AppView) -> str:
    array = job.array if isinstance(job, DriverView) else None
    return job.name if array is None else f"{job.name} ({array.waiting:,} task{'s' * (array.waiting != 1)})"


def _played(
    snapshot: Snapshot, changes: ClusterChanges, lengths: Lengths, waiting: list[DriverView | AppView], rng: Rng
) -> tuple[Play, list[tuple[str, str]] | str]:
    """Return the play, and (id, name) of each job that was submitted, or why the master refuses them."""
    core = rebuild(changed(snapshot, changes), rng)
    books = core.ctx.books
    of_waiting = {job.id: lengths.of(job) for job in waiting}
    play = Play(core, snapshot.at, of_waiting, _tasks(waiting))
    for job in _jobs(snapshot):
        is_in = job.id in books.drivers or job.id in books.apps
        if is_in and job.id not in of_waiting and job.id not in books.arrays:
            play.runs_on(job.id, lengths.left(job, snapshot.at).seconds)
    new: list[tuple[str, str]] = []
    for wanted in changes.submit:
        for _ in range(wanted.number):
            answer = _submit(play, core, changes, wanted, snapshot.scheduling.principal)
            if isinstance(answer, Failed):
                return play, answer.reason
            of_waiting[answer.driver_id] = lengths.of_limit(wanted.seconds)
            new.append((answer.driver_id, f"(new: {wanted.cores} core{'s' * (wanted.cores != 1)})"))
    play.run([*of_waiting])
    return play, new


def _submit(
    play: Play, core: MasterCore, changes: ClusterChanges, wanted: NewDrivers, principal: str
) -> Submitted | Failed:
    driver = DriverDescription(
        kind="program",
        main="job",
        artifacts=PROGRAM,
        cores=wanted.cores,
        memory_mib=wanted.memory_mib,
        resources=wanted.resources,
        pool=changes.pool,
        priority=changes.priority,
        time_limit=wanted.seconds,
    )
    token = f"{core.ctx.books.counters.drivers}"
    answers = play.ask(_ASKER, SubmitDriver(request=1, token=token, driver=driver), by=principal)
    return next(answer for answer in answers if isinstance(answer, (Submitted, Failed)))


def changed(snapshot: Snapshot, changes: ClusterChanges) -> Snapshot:
    """Return the snapshot with the changes to workers and pools."""
    cluster = snapshot.cluster
    workers = [
        msgspec.structs.replace(worker, draining=True) if worker.id in changes.remove else worker
        for worker in cluster.workers
    ]
    for kind in changes.add:
        workers += [_new_worker(len(workers) + number, kind) for number in range(kind.number)]
    pools = snapshot.scheduling.pools if changes.pools is None else changes.pools
    return Snapshot(
        msgspec.structs.replace(cluster, workers=tuple(workers)),
        msgspec.structs.replace(snapshot.scheduling, pools=pools),
    )


def _new_worker(number: int, kind: NewWorkers) -> WorkerView:
    resources: Addresses = tuple((name, tuple(map(str, range(amount)))) for name, amount in kind.resources)
    return WorkerView(
        id=f"worker-new-{number}",
        host=f"new-{number}",
        port=1,
        state=WorkerState.ALIVE,
        cores=kind.cores,
        cores_used=0,
        memory_mib=kind.memory_mib,
        memory_used_mib=0,
        resources=resources,
    )
