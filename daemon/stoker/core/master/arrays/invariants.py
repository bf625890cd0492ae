"""Invariants of arrays: their bytes equal a recount of the drivers, and the queue lets as many tasks start as may."""

from __future__ import annotations

from collections.abc import Iterator

from stoker.core.master.arrays.booking import task_of
from stoker.core.master.arrays.tasks import ACTIVE, NAMES, Tasks
from stoker.core.master.books import Books, Driver
from stoker.core.model.states import DriverState


def array_violations(books: Books) -> Iterator[str]:
    drivers: dict[str, set[int]] = {}
    again: dict[str, list[int]] = {}
    for driver_id, driver in books.drivers.items():
        task = task_of(books, driver_id)
        if task is None:
            continue
        array_id = task.head.record.id
        drivers.setdefault(array_id, set()).add(task.position)
        if driver.record.state is DriverState.SUBMITTED and driver.record.hold is None:
            again.setdefault(array_id, []).append(task.position)
    for array_id, head in {**books.drivers, **books.completed_drivers}.items():
        tasks = head.tasks
        if tasks is None:
            continue
        yield from _counts(array_id, tasks)
        if set(tasks.active(range(len(tasks)))) != drivers.get(array_id, set()):
            yield f"{array_id} has other ACTIVE tasks than drivers: {sorted(drivers.get(array_id, set()))[:5]}"
        if tasks.again != sorted(again.get(array_id, [])):
            yield f"{array_id} places {tasks.again} again, and {again.get(array_id, [])} wait for it"
        yield from _place(books, array_id, head, tasks)
    known = {array_id for array_id, head in books.drivers.items() if head.tasks is not None}
    if known != set(books.arrays):
        yield f"the active arrays are {sorted(known)}, listed are {sorted(books.arrays)}"


def _counts(array_id: str, tasks: Tasks) -> Iterator[str]:
    counted = [tasks.states.count(state) for state in range(len(NAMES))]
    if counted != tasks.counts:
        yield f"{array_id} counts {tasks.counts}, a recount says {counted}"
    if 0 < tasks.indices.limit < tasks.counts[ACTIVE]:
        yield f"{array_id} has {tasks.counts[ACTIVE]} tasks started, and its limit is {tasks.indices.limit}"


def _place(books: Books, array_id: str, head: Driver, tasks: Tasks) -> Iterator[str]:
    record = head.record
    if record.state.is_final:
        if not tasks.is_over:
            yield f"{array_id} is {record.state.value}, and not all tasks have ended: {tasks.counts}"
        return
    if tasks.is_over:
        yield f"all tasks of {array_id} have ended, and it is {record.state.value}"
    room = 0 if record.hold is not None or record.awaits else tasks.room
    if books.queue.times(array_id) != room:
        yield f"{array_id} is in the queue {books.queue.times(array_id)} times, and {room} tasks may be placed"
