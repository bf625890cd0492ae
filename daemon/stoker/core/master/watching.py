"""Who watches a driver: its submitter that waits, and whoever follows it."""

from __future__ import annotations

from stoker.core.master.arrays.booking import TaskPlace, task_of
from stoker.core.master.arrays.show import task_view
from stoker.core.master.books import Driver
from stoker.core.master.context import Context
from stoker.core.master.show import driver_view
from stoker.core.model.messages import DriverUpdate, Failed, WatchDriver

_OF_ONE_PEER = 10  # watches of one driver by one connection


def watch(ctx: Context, peer: bytes, message: WatchDriver) -> None:
    driver = ctx.books.find_driver(message.driver_id)
    task = task_of(ctx.books, message.driver_id) if driver is None else None
    if task is not None:
        _watch_task(ctx, peer, message, task)
        return
    if driver is None:
        reason = f"There is no driver {message.driver_id}"
        ctx.send(peer, Failed(request=message.request, reason=reason, code="not-found"))
        return
    if not _may_watch(ctx, peer, message, driver.watchers):
        return
    add(ctx, driver, peer, message.request)
    ctx.send(peer, DriverUpdate(request=message.request, driver=driver_view(driver)))


def _watch_task(ctx: Context, peer: bytes, message: WatchDriver, task: TaskPlace) -> None:
    """Watch a task that has no driver: it gets the watchers when it starts."""
    head, tasks, position = task
    watchers = tasks.watchers.get(position, [])
    if not _may_watch(ctx, peer, message, watchers):
        return
    view = task_view(head, message.driver_id, position)
    if not view.state.is_final:
        tasks.watchers[position] = [*watchers, (peer, message.request)]
        ctx.books.watching.setdefault(peer, set()).add(message.driver_id)
    ctx.send(peer, DriverUpdate(request=message.request, driver=view))


def _may_watch(ctx: Context, peer: bytes, message: WatchDriver, watchers: list[tuple[bytes, int]]) -> bool:
    watched = ctx.books.watching.get(peer, set())
    if len(watched) < ctx.policy.watches and sum(watcher[0] == peer for watcher in watchers) < _OF_ONE_PEER:
        return True
    reason = "this connection watches too many drivers (spark.stoker.limits.watches): use several, or ask for status"
    ctx.send(peer, Failed(request=message.request, reason=reason))
    return False


def add(ctx: Context, driver: Driver, peer: bytes, request: int) -> None:
    if not driver.record.state.is_final:
        driver.watchers.append((peer, request))
        ctx.books.watching.setdefault(peer, set()).add(driver.record.id)


def forget(ctx: Context, peer: bytes) -> None:
    """Stop notifying a connection that was closed."""
    for driver_id in ctx.books.watching.pop(peer, ()):
        driver = ctx.books.drivers.get(driver_id)
        if driver is not None:
            driver.watchers = [watcher for watcher in driver.watchers if watcher[0] != peer]
        elif (task := task_of(ctx.books, driver_id)) is not None:
            _, tasks, position = task
            left = [watcher for watcher in tasks.watchers.pop(position, []) if watcher[0] != peer]
            tasks.watchers.update({position: left} if left else {})
