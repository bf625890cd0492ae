"""Views of single tasks, and of an array or a range of its tasks in full. To clients that know no arrays they look like
drivers."""

from __future__ import annotations

from itertools import islice

import msgspec

from stoker.core.master.arrays.booking import task_of
from stoker.core.master.arrays.summary import counts_of, state_of
from stoker.core.master.arrays.tasks import HELD, NAMES, STATE_OF
from stoker.core.master.books import Books, Driver
from stoker.core.master.show import driver_view
from stoker.core.model.arrays.ids import TasksId, tasks_id
from stoker.core.model.states import DriverState
from stoker.core.model.values import Exit
from stoker.core.model.views import AttemptView, DriverView, TaskRun

RUNS = 1000  # that a view shows; a million tasks can have as many


def find_view(books: Books, wanted: str) -> DriverView | None:
    """Return the view of a driver, an array, a task or a range of tasks; None if there is none."""
    driver = books.find_driver(wanted)
    if driver is not None:
        return driver_view(driver) if driver.tasks is None else in_full(driver)
    found = tasks_id(wanted)
    if found is None:
        return None
    if not found.is_range:
        task = task_of(books, wanted)
        return None if task is None else task_view(task[0], wanted, task[2])
    head = books.find_driver(found.array_id)
    return None if head is None or head.tasks is None else in_full(head, found)


def in_full(head: Driver, wanted: TasksId | None = None) -> DriverView | None:
    """Return the view of an array, or of a range of its tasks, with what has become of them; None if it has none of them."""
    tasks, view = head.tasks, driver_view(head)
    assert tasks is not None
    positions = range(len(tasks)) if wanted is None else tasks.indices.positions(wanted.first, wanted.last)
    if not positions:
        return None
    runs = [
        TaskRun(indices=tasks.indices.text(start, stop), state=NAMES[state], tasks=stop - start)
        for start, stop, state in islice(tasks.runs(positions), RUNS)
    ]
    array = msgspec.structs.replace(counts_of(tasks, positions), runs=tuple(runs))
    if wanted is None:
        return msgspec.structs.replace(view, array=array)
    part_id = f"{wanted.array_id}_{wanted.first}-{wanted.last}"
    return msgspec.structs.replace(view, id=part_id, state=state_of(tasks, positions), array=array)


def task_view(head: Driver, task_id: str, position: int) -> DriverView:
    """Return the view of a task that has no driver: it has not started, or the history has forgotten its driver."""
    tasks = head.tasks
    assert tasks is not None
    byte = tasks.states[position]
    state, status, worker_id = STATE_OF[byte], tasks.statuses[position], tasks.worker_of(position)
    view = msgspec.structs.replace(driver_view(head), id=task_id, state=state, array=None, ended=0.0)
    if not state.is_final:
        return msgspec.structs.replace(view, reason="it is held" if byte == HELD else "")
    attempt = AttemptView(number=1, worker_id=worker_id, state=state, started=0.0, exit=Exit(code=status))
    reason = (
        "" if state is DriverState.FINISHED else f"its exit status was {status}" if worker_id else "it never started"
    )
    return msgspec.structs.replace(view, reason=reason, attempts=(attempt,) if worker_id else ())
