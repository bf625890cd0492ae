"""Arrays in the books: an array waits in the queue, a task is a driver from its first start on, and its end becomes bytes.

The queue has one entry for an array, however many tasks it has. Tasks start in the order of their indices; one that has to be
placed again (its worker was lost, or refused it) waits in its array, before the next index.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from stoker.core.master.arrays.tasks import ACTIVE, FINISHED, HELD, WAITING, Tasks
from stoker.core.master.books import Books, Driver
from stoker.core.model.arrays.ids import task_id, task_variables, tasks_id
from stoker.core.model.arrays.indices import parse_array
from stoker.core.model.lifecycles import DRIVER_END, DriverEvent
from stoker.core.model.records import ArrayRecord, DriverRecord, TaskChunk, array_key, chunk_key, driver_key
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverDescription, Order

MOST_IN_BOOKS = 10_000_000  # tasks of all active arrays together, and of all ended ones: 60 MiB each


def refusal(books: Books, description: DriverDescription) -> str:
    """Return why an array cannot be accepted; "" if it can, and for a driver that is not an array."""
    if not description.array:
        return ""
    try:
        indices = parse_array(description.array)
    except ValueError as error:
        return str(error)
    active = sum(len(each.tasks) for each in books.arrays.values() if each.tasks is not None)
    if active + len(indices) > MOST_IN_BOOKS:
        most = f"the most is {MOST_IN_BOOKS}: wait until one has ended"
        return f"--array: the arrays of this cluster have {active} tasks, {most}"
    return ""


def size_of(description: DriverDescription) -> int:
    """Return how many drivers a submission makes."""
    return len(parse_array(description.array)) if description.array else 1


def made_of(record: DriverRecord) -> Driver:
    """Return the driver, or the array, of a record. The record decides: a worker may report a driver with any description."""
    is_array = isinstance(record, ArrayRecord)
    return Driver(record, tasks=Tasks(parse_array(record.description.array)) if is_array else None)


def add(books: Books, record: DriverRecord) -> Driver:
    """Enter an active driver, or an array."""
    driver = books.drivers[record.id] = made_of(record)
    books.tokens[record.token] = record.id
    if driver.tasks is not None:
        books.arrays[record.id] = driver
    return driver


class TaskPlace(NamedTuple):
    """A task in its array, which is a driver in the books, perhaps ended."""

    head: Driver
    tasks: Tasks
    position: int


def task_of(books: Books, driver_id: str) -> TaskPlace | None:
    """Return the task with this id; None if it is not one, or its array is unknown."""
    found = tasks_id(driver_id)
    head = books.find_driver(found.array_id) if found is not None and not found.is_range else None
    if found is None or head is None or head.tasks is None:
        return None
    position = head.tasks.indices.position(found.first)
    return None if position is None else TaskPlace(head, head.tasks, position)


def queue(books: Books, driver: Driver) -> bool:
    """Queue an array, or a task that has to be placed again. Return False for any other driver."""
    if driver.tasks is not None:
        requeue(books, driver)
        return True
    task = task_of(books, driver.record.id)
    if task is None:
        return False
    head, tasks, position = task
    books.parked.add(driver.record.id, driver.account)
    if driver.record.hold is None:
        tasks.place_again(position)
    requeue(books, head)
    return True


def unqueue(books: Books, driver_id: str) -> None:
    """Take a driver, an array or a task out of whatever it waits in."""
    books.queue.remove(driver_id)
    books.relaunching.discard(driver_id)
    books.parked.discard(driver_id)
    task = task_of(books, driver_id)
    if task is not None:
        head, tasks, position = task
        tasks.discard_again(position)
        requeue(books, head)


def requeue(books: Books, head: Driver) -> None:
    """Put an array into the queue if a task of it may be placed, at the place that it had; else park it."""
    record, tasks = head.record, head.tasks
    if tasks is None or record.state.is_final:
        return
    room = 0 if record.hold is not None or record.awaits else tasks.room
    if room:
        books.parked.discard(record.id)
        tasks.place = books.queue.push_array(record.id, head.lane, times=room, place=tasks.place)
    else:
        books.queue.remove(record.id)
        books.parked.add(record.id, head.account)


def next_of(books: Books, driver: Driver, wall: float) -> Driver:
    """Return what is placed when a pass takes this entry of the queue: the driver itself, or the next task of an array, which
    then waits for the one after it from now on (``wall``)."""
    tasks = driver.tasks
    if tasks is None:
        return driver
    record = driver.record
    if tasks.again:
        task = books.drivers[task_id(record.id, tasks.indices.at(tasks.again.pop(0)))]
        books.parked.discard(task.record.id)
    else:
        position = tasks.start_next()
        task = _driver_for(driver, tasks, position)
        task.watchers = tasks.watchers.pop(position, [])
        books.drivers[task.record.id] = task
    driver.queued_at = wall
    requeue(books, driver)
    touched(books, driver)
    return task


def _driver_for(head: Driver, tasks: Tasks, position: int) -> Driver:
    record = head.record
    index = tasks.indices.at(position)
    description = record.description
    description = msgspec.structs.replace(
        description,
        env={**description.env, **task_variables(record.id, tasks.indices, index)},
        hold=False,
        after=(),
        array="",
    )
    task = DriverRecord(
        id=task_id(record.id, index),
        description=description,
        submitted=record.submitted,
        owner=record.owner,
        principal=record.principal,
    )
    return Driver(task, queued_at=head.queued_at)


def ended(books: Books, driver: Driver) -> Driver | None:
    """Take over the end of a task into its array's bytes. Return the array if that was its last task."""
    task = task_of(books, driver.record.id)
    if task is None:
        return None
    head, tasks, position = task
    tasks.discard_again(position)
    _take_end(tasks, position, driver.record)
    requeue(books, head)
    touched(books, head)
    return over(head)


def _take_end(tasks: Tasks, position: int, record: DriverRecord) -> None:
    last = record.attempts[-1] if record.attempts else None
    status, worker_id = (None, "") if last is None else (last.exit.status, last.worker_id)
    tasks.ended(position, record.state, status, worker_id)


def finished(books: Books, driver: Driver) -> int:
    """End what has not started of an array that has ended. Return how many drivers that are; 1 for any other driver."""
    tasks = driver.tasks
    if tasks is None:
        return 1
    unqueue(books, driver.record.id)
    books.arrays.pop(driver.record.id, None)
    killed = tasks.kill_waiting(range(len(tasks)))
    touched(books, driver)
    return killed


def over(head: Driver) -> Driver | None:
    """Return the array if all its tasks have ended and it has not."""
    return head if head.tasks is not None and head.tasks.is_over and not head.record.state.is_final else None


def end_of(head: Driver) -> tuple[DriverEvent, str]:
    """Return how an array ends whose tasks have all ended, and the reason."""
    tasks = head.tasks
    assert tasks is not None
    if head.record.kill_requested:
        return DriverEvent.KILLED, (head.record.kill or Order()).words("killed")
    unsuccessful = len(tasks) - tasks.counts[FINISHED]
    words = f"{unsuccessful} of {len(tasks)} tasks did not finish" if unsuccessful else ""
    return DRIVER_END[tasks.end], words


def touched(books: Books, head: Driver) -> None:
    """Have the array recorded, and its watchers notified, with this batch."""
    head.view = None
    books.touched_arrays[head.record.id] = head


def keys_of(driver: Driver) -> list[str]:
    """Return the keys of the records of a driver or an array."""
    record = driver.record
    if not isinstance(record, ArrayRecord):
        return [driver_key(record.id)]
    return [array_key(record.id), *(chunk_key(record.id, number) for number in range(record.chunks))]


def too_large(books: Books) -> list[str]:
    """Return the oldest ended arrays beyond the limit of what is kept, when one has just ended."""
    if not any(head.record.state.is_final for head in books.touched_arrays.values()):
        return []
    ended = [(array_id, head.tasks) for array_id, head in books.completed_drivers.items() if head.tasks is not None]
    kept, found = 0, []
    for array_id, tasks in reversed(ended):
        kept += len(tasks)
        if kept > MOST_IN_BOOKS and array_id not in books.waited_for:
            found.append(array_id)
    return found


# --- recovery --------------------------------------------------------------------------------------------------------


def load(books: Books, driver: Driver, chunks: list[TaskChunk]) -> None:
    """Take over the tasks of an earlier master's array, or note that a task has a driver on record."""
    record = driver.record
    if driver.tasks is not None:
        assert isinstance(record, ArrayRecord)
        driver.tasks.load(record.chunks, chunks)
        return
    task = task_of(books, record.id)
    if task is None or (task[0].record.state.is_final and not record.state.is_final):
        return
    head, tasks, position = task
    if not record.state.is_final:
        tasks.set(position, ACTIVE)
    elif tasks.states[position] == ACTIVE:  # the record of its chunk is damaged
        _take_end(tasks, position, record)
    requeue(books, head)
    touched(books, head)


def may_adopt(books: Books, driver_id: str, *, is_sealed: bool) -> bool:
    """Return whether a task that only its worker knows may be taken over. True for any other driver: others decide then."""
    task = task_of(books, driver_id)
    if task is None:
        return True
    head, tasks, position = task
    return is_sealed and not head.record.state.is_final and tasks.states[position] in (WAITING, HELD, ACTIVE)


def loaded(books: Books) -> list[Driver]:
    """Give up tasks that may have run and have no record any more. Return the arrays that have ended by that."""
    found = []
    for array_id, head in books.arrays.items():
        tasks = head.tasks
        assert tasks is not None
        for position in tasks.active(range(len(tasks))):
            if task_id(array_id, tasks.indices.at(position)) not in books.drivers:
                tasks.ended(position, DriverState.ERROR, None, "")
                touched(books, head)
        if over(head) is not None:
            found.append(head)
        requeue(books, head)
    return found
