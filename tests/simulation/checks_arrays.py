"""Arrays: tasks start in the order of their indices, none is left out, and records say what the books say. That the bytes
equal a recount and that no limit is exceeded, the invariants of the books check (core/master/arrays/invariants.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from stoker.core.master.arrays.booking import task_of
from stoker.core.master.arrays.tasks import FINISHED, KILLED, WAITING, Tasks
from stoker.core.master.books import Books
from stoker.core.master.effects import Effect, Send
from stoker.core.model.arrays.ids import task_id
from stoker.core.model.messages import LaunchDriver
from stoker.core.model.records import ArrayRecord, TaskChunk
from stoker.recovery.records import decode_record
from tests.simulation.hostile import HOSTILE

Fail = Callable[[str, str], None]


def check_arrays(books: Books, effects: Iterable[Effect], fail: Fail) -> None:
    """Check what a batch has started: no task before one with a lower index that waits."""
    for effect in effects:
        launch = effect.message if isinstance(effect, Send) else None
        if not isinstance(launch, LaunchDriver):
            continue
        task = task_of(books, launch.driver_id)
        if task is None:
            continue
        index = str(task.tasks.indices.at(task.position))
        if launch.driver.env["STOKER_ARRAY_INDEX"] != index or not launch.driver_id.endswith(f"_{index}"):
            fail("array", f"{launch.driver_id} is started with index {launch.driver.env['STOKER_ARRAY_INDEX']}")
        first = task.tasks.states.find(WAITING)
        if 0 <= first < task.position:
            fail("array", f"{launch.driver_id} starts before index {task.tasks.indices.at(first)}, which waits")


def left_out(books: Books, ran: set[str], killed: set[str]) -> Iterator[str]:
    """Yield each task that has ended without having run, although nobody killed its array. ``ran``: keys of processes."""
    ids = {key.split(":")[0] for key in ran}
    for array_id, head in {**books.drivers, **books.completed_drivers}.items():
        tasks, record = head.tasks, head.record
        if tasks is None or record.kill_requested or array_id in killed or record.state.value == "KILLED":
            continue
        for position, state in enumerate(tasks.states):
            known = task_id(array_id, tasks.indices.at(position))
            if f"-{HOSTILE}-" in tasks.worker_of(position):
                continue  # who runs a task may say that it has ended
            # What cannot be started fails without a process.
            if state in (FINISHED, KILLED) and known not in ids and known not in killed:
                yield f"{known} has ended, and never ran"


def unrecorded(books: Books, records: Mapping[str, bytes], damaged: Iterable[str]) -> Iterator[str]:
    """Yield each array that the next master would not read as it is in the books."""
    bad = set(damaged)
    for array_id, head in {**books.drivers, **books.completed_drivers}.items():
        if head.tasks is None:
            continue
        assert isinstance(head.record, ArrayRecord)
        keys = [f"tasks/{array_id}/{number}" for number in range(head.record.chunks)]
        if bad.intersection(keys) or any(key not in records for key in keys):
            if not bad.intersection(keys):
                yield f"a chunk of {array_id} is not on record"
            continue
        chunks = [decode_record(key, records[key]) for key in keys]
        read = Tasks(head.tasks.indices)
        read.load(head.record.chunks, [chunk for chunk in chunks if isinstance(chunk, TaskChunk)])
        if (read.states, read.statuses) != (head.tasks.states, head.tasks.statuses):
            yield f"{array_id} is on record as {bytes(read.states)!r}, in the books as {bytes(head.tasks.states)!r}"
