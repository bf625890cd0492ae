"""The checks after the faults have stopped. Everything that can run runs within a bound, and books, records and machines
agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from stoker.core.model.messages import WatchDriver
from stoker.core.model.records import AppRecord, DriverRecord
from stoker.core.model.states import ApplicationState, DriverState, JobPhase, WorkerState
from stoker.core.model.states import RegistrationPhase as Phase
from stoker.recovery.records import decode_record
from tests.simulation.checks_arrays import left_out, unrecorded
from tests.simulation.hostile import HOSTILE
from tests.simulation.master import Master
from tests.simulation.scenario import Cluster


def bound(cluster: Cluster) -> float:
    """Return the bound, in seconds after the last fault: time to notice lost peers, recover, reconnect, stop outdated
    jobs, and try again."""
    policy = cluster.policy
    return 2 * policy.worker_timeout + policy.recovery_timeout + policy.reconnect_timeout + 120.0


def unsettled(cluster: Cluster) -> list[str]:
    """Return what still has to happen; empty when all has settled."""
    leaders = [master for master in cluster.masters if master.is_serving]
    if len(leaders) != 1:
        return [f"{len(leaders)} masters serve: {', '.join(master.name for master in leaders)}"]
    leader = leaders[0]
    if cluster.operator.left:
        return [f"{cluster.operator.left[0].name} has to be emptied"]
    found = [*_workers(cluster, leader), *_jobs(cluster, leader), *_clients(cluster)]
    return found or [*_agree(cluster, leader), *_records(cluster, leader)]


def _books(leader: Master):  # type: ignore[no-untyped-def]
    assert leader.core is not None
    return leader.core.ctx.books


def _workers(cluster: Cluster, leader: Master) -> Iterator[str]:
    books = _books(leader)
    for worker in cluster.workers:
        core = worker.core
        if core is None:
            yield f"{worker.name} is not running"
            continue
        entry = books.workers.get(core.identity.id)
        if entry is None or entry.peer is None or entry.record.state is not WorkerState.ALIVE or entry.leaving:
            yield f"{worker.name} is not registered"
        elif entry.dying:
            yield f"{worker.name} still holds {', '.join(str(key) for key in entry.dying)} for processes being ended"
        if entry is not None and entry.record.drain.draining:
            yield f"{worker.name} is draining"
        if core.registration.leader != leader.address:
            yield f"{worker.name} follows {core.registration.leader}"
        for job in core.jobs.values():
            if job.phase is not JobPhase.RUNNING:
                yield f"{worker.name} has {job.key}, which is {job.phase.value}"


def _jobs(cluster: Cluster, leader: Master) -> Iterator[str]:
    books = _books(leader)
    for driver_id, driver in books.drivers.items():
        state = driver.record.state
        if state not in (DriverState.RUNNING, DriverState.SUBMITTED):
            yield f"{driver_id} is {state.value}"
        if driver.record.kill_requested:
            yield f"{driver_id} is still being killed"
    for app_id, app in books.apps.items():
        if app.record.state is ApplicationState.UNKNOWN or app.peer is None:
            yield f"{app_id} is {app.record.state.value} without a process"
    for application in cluster.applications:
        core = application.core
        if core is None:
            continue
        if core.phase is not Phase.REGISTERED or core.app_id not in books.apps:
            yield f"{application.name} is {core.phase.value}"


def _clients(cluster: Cluster) -> Iterator[str]:
    for client in cluster.clients:
        for message in client.asked.values():
            if not isinstance(message, WatchDriver):
                yield f"{client.name} has no answer to {message}"


def _agree(cluster: Cluster, leader: Master) -> Iterator[str]:
    """The running jobs are the booked ones, on the same hosts."""
    books = _books(leader)
    booked = {}
    for driver_id, driver in books.drivers.items():
        if driver.record.state is DriverState.RUNNING:
            booked[f"{driver_id}:{driver.record.attempt}"] = driver.record.attempts[-1].worker_host
    for app_id, app in books.apps.items():
        for executor in app.executors.values():
            booked[f"{app_id}/{executor.id}"] = executor.worker_host
    running = {}
    for worker in cluster.workers:
        for program in worker.machine.programs.values():
            running[program.key] = worker.name
    for key in sorted({*booked, *running}):
        if booked.get(key) != running.get(key):
            yield f"{key} is booked on {booked.get(key, 'no host')} and runs on {running.get(key, 'no host')}"
    yield from _addresses(cluster, leader)
    yield from left_out(books, cluster.checks.ran, cluster.checks.kills)
    yield from _true_ends(cluster, leader)
    known = {*books.drivers, *books.completed_drivers, *cluster.checks.dropped}
    for driver_id in sorted(cluster.checks.acknowledged - known):
        yield f"{driver_id} was acknowledged and is not known"
    for job_id in sorted(cluster.checks.kills):
        if job_id in books.drivers or job_id in books.apps:
            yield f"{job_id} was killed and is still active"
    for application in cluster.applications:
        if application.core is not None:
            app = books.apps[application.core.app_id]
            told = {one.id for one in application.core.executors.all() if not one.state.is_final}
            if told != set(app.executors):
                yield f"{application.name} believes in executors {sorted(told)}, booked are {sorted(app.executors)}"


def _addresses(cluster: Cluster, leader: Master) -> Iterator[str]:
    """The addresses that the books count as held are those of the processes. A master of the release before gives none."""
    if cluster.skew.old:
        return
    for worker in _books(leader).workers.values():
        if worker.record.key == HOSTILE:
            continue
        machine = next(one.machine for one in cluster.workers if one.name == worker.record.host)
        held = {pair for program in machine.programs.values() for pair in program.addresses}
        if held != worker.held.keys():
            yield f"{worker.record.id} has {sorted(worker.held)} held in the books, and its processes hold {sorted(held)}"


def _true_ends(cluster: Cluster, leader: Master) -> Iterator[str]:
    """An end in a journal that a later keeper has read is not booked as unknown."""
    for driver_id, driver in _books(leader).completed_drivers.items():
        last = driver.record.attempts[-1] if driver.record.attempts else None
        is_unknown = last is not None and last.lost and driver.record.state is DriverState.ERROR
        if last is not None and is_unknown and f"{driver_id}:{last.number}" in cluster.checks.known_ends:
            yield f"{driver_id} is {driver.record.state.value}, and its worker's journal has the true end"


def _same(one: Any, other: Any) -> bool:
    """Return whether the next master reads both the same. An application is WAITING or RUNNING by its executors, and a
    driver's back-off ends with its master."""
    if isinstance(one, AppRecord) and not other.state.is_final:
        one = msgspec.structs.replace(one, state=other.state)
    if isinstance(one, DriverRecord) and one.state is DriverState.RELAUNCHING:
        one = msgspec.structs.replace(one, state=DriverState.SUBMITTED)
    return bool(one == other)


def _records(cluster: Cluster, leader: Master) -> Iterator[str]:
    """A master that started now would read everything from the records."""
    if not cluster.checks.is_durable:
        return
    books, records = _books(leader), cluster.store.records
    expected = {}
    for driver_id, driver in {**books.drivers, **books.completed_drivers}.items():
        expected[f"{'driver' if driver.tasks is None else 'array'}/{driver_id}"] = driver.record
    for app_id, entry in {**books.apps, **books.completed_apps}.items():
        expected[f"app/{app_id}"] = entry.record
        for executor in entry.executors.values():
            expected[f"executor/{app_id}/{executor.id}"] = executor
    for key, record in expected.items():
        if key not in records or not _same(decode_record(key, records[key]), record):
            yield f"{key} is not on record as it is in the books"
    yield from unrecorded(books, records, cluster.store.damaged)
    for key in records:
        if key.startswith("tasks/") and books.find_driver(key.split("/")[1]) is None:
            yield f"{key} is on record without its array"
        if key.split("/")[0] in ("driver", "array", "app") and key not in expected:
            yield f"{key} is on record, and the books do not have it"
        if key.startswith("executor/"):
            _, app_id, number = key.split("/")
            app = books.find_app(app_id)
            if app is None:
                yield f"{key} is on record without its application"
            elif all(executor.id != int(number) for executor in (*app.executors.values(), *app.removed)):
                yield f"{key} is on record, and the books do not have it"
