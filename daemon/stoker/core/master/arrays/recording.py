"""What a batch has changed about arrays: written, and sent to who watches them, once, however many tasks there were."""

from __future__ import annotations

from stoker.core.master.arrays.show import task_view
from stoker.core.master.arrays.tasks import STATE_OF, Tasks
from stoker.core.master.books import Driver
from stoker.core.master.context import Context
from stoker.core.master.show import driver_view
from stoker.core.model.arrays.ids import task_id
from stoker.core.model.messages import DriverUpdate
from stoker.core.model.records import ArrayRecord


def save(ctx: Context) -> None:
    """Record changed chunks, and notify watchers."""
    books = ctx.books
    for array_id, head in books.touched_arrays.items():
        tasks, record = head.tasks, head.record
        if tasks is None or books.find_driver(array_id) is not head:  # the history has just forgotten it
            continue
        assert isinstance(record, ArrayRecord)
        if tasks.changed:
            # All chunks up to the highest are on record, so that a missing one shows.
            tasks.changed.update(range(record.chunks, max(tasks.changed) + 1))
            if (chunks := max(tasks.changed) + 1) > record.chunks:
                record.chunks = chunks
                ctx.save_driver(record)
            for number in sorted(tasks.changed):
                ctx.save_chunk(tasks.chunk(array_id, number))
            tasks.changed.clear()
        for peer, request in head.watchers:
            ctx.send(peer, DriverUpdate(request=request, driver=driver_view(head)))
        if tasks.watchers:
            _notify(ctx, head, tasks)
    books.touched_arrays.clear()


def _notify(ctx: Context, head: Driver, tasks: Tasks) -> None:
    """Notify who watches tasks that have ended without a driver."""
    for position in [each for each in tasks.watchers if STATE_OF[tasks.states[each]].is_final]:
        watched = task_id(head.record.id, tasks.indices.at(position))
        for peer, request in tasks.watchers.pop(position):
            ctx.books.watching.get(peer, set()).discard(watched)
            ctx.send(peer, DriverUpdate(request=request, driver=task_view(head, watched, position)))
