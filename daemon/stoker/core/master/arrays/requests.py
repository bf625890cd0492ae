"""What clients ask about arrays: all of one (``ID``), one task (``ID_17``) or several (``ID_3-9``)."""

from __future__ import annotations

from stoker.core.master import drivers
from stoker.core.master.arrays import booking
from stoker.core.master.arrays.tasks import HELD, WAITING, Tasks
from stoker.core.master.books import Books, Driver
from stoker.core.master.context import Context
from stoker.core.master.effects import Received
from stoker.core.master.sharing import admission
from stoker.core.model.arrays.ids import task_id, tasks_id
from stoker.core.model.messages import Accepted, Failed, HoldJob, KillJob
from stoker.core.model.principal import belongs_to
from stoker.core.model.states import DriverState

Part = tuple[Driver, Tasks, range]


def part_of(books: Books, identifier: str) -> Part | None:
    """Return the array, its tasks and the positions that an id names; None if it names a driver, or nothing. A task that has
    a driver is that driver."""
    head = books.drivers.get(identifier)
    if head is not None:
        return None if head.tasks is None else (head, head.tasks, range(len(head.tasks)))
    found = tasks_id(identifier)
    head = books.drivers.get(found.array_id) if found is not None else None
    if found is None or head is None or head.tasks is None:
        return None
    if not found.is_range:
        position = head.tasks.indices.position(found.first)
        return None if position is None else (head, head.tasks, range(position, position + 1))
    positions = head.tasks.indices.positions(found.first, found.last)
    return (head, head.tasks, positions) if positions else None


def kill(ctx: Context, event: Received, message: KillJob) -> bool:
    """Kill tasks: those that have not started end at once. Return False if the id names a driver, or nothing."""
    part = part_of(ctx.books, message.id)
    if part is None:
        return False
    head, tasks, positions = part
    by, record = event.asker, head.record
    if not _may_change(ctx, event, message, head):
        return True
    is_whole = len(positions) == len(tasks)
    if is_whole and not record.kill_requested:
        record.kill_requested, record.kill = True, by.order(ctx.now.wall)
        ctx.save_driver(record)
    active = list(tasks.active(positions))
    waiting = tasks.kill_waiting(positions)
    if not (active or waiting) and not is_whole:
        reason = f"{_named(message.id)} has already finished"
        ctx.send(event.peer, Failed(request=message.request, reason=reason, code="not-found"))
        return True
    ctx.tally.drivers_ended[DriverState.KILLED] += waiting
    for position in active:
        drivers.kill(ctx, None, 0, task_id(record.id, tasks.indices.at(position)), by=by)
    booking.requeue(ctx.books, head)
    booking.touched(ctx.books, head)
    ctx.schedule_wanted = True
    if booking.over(head) is not None:
        drivers.finish(ctx, head, *booking.end_of(head))
    text = f"{_named(message.id)}: {_tasks(waiting)} not running and killed; {_tasks(len(active))} being killed"
    ctx.send(event.peer, Accepted(request=message.request, text=text))
    return True


def hold(ctx: Context, event: Received, message: HoldJob) -> bool:
    """Hold or release single tasks. Return False if the id names a driver, a whole array, or nothing."""
    part = part_of(ctx.books, message.id)
    if part is None or message.id in ctx.books.drivers:
        return False
    head, tasks, positions = part
    if not _may_change(ctx, event, message, head):
        return True
    before, after = (WAITING, HELD) if message.hold else (HELD, WAITING)
    count = tasks.swap(positions, before, after)
    booking.requeue(ctx.books, head)
    booking.touched(ctx.books, head)
    ctx.schedule_wanted = True
    deed = "held" if message.hold else "released"
    text = f"{_named(message.id)}: {_tasks(count)} {deed}, of those that have not started"
    ctx.send(event.peer, Accepted(request=message.request, text=text))
    return True


def _may_change(ctx: Context, event: Received, message: KillJob | HoldJob, head: Driver) -> bool:
    record = head.record
    if admission.may_change(ctx.pools, event.asker, record.principal, record.description.pool):
        return True
    reason = f"{record.id} {belongs_to(record.principal)}"
    ctx.send(event.peer, Failed(request=message.request, reason=reason, code="not-authorized"))
    return False


def _tasks(count: int) -> str:
    return f"{count} task{'s' * (count != 1)}"


def _named(identifier: str) -> str:
    return identifier[:80]
