"""Who watches a driver: its submitter that waits, and whoever follows it."""

from __future__ import annotations

from stoker.core.master.books import Driver
from stoker.core.master.context import Context
from stoker.core.master.show import driver_view
from stoker.core.model.messages import DriverUpdate, Failed, WatchDriver

_OF_ONE_PEER = 10  # watches of one driver by one connection


def watch(ctx: Context, peer: bytes, message: WatchDriver) -> None:
    driver = ctx.books.find_driver(message.driver_id)
    if driver is None:
        reason = f"There is no driver {message.driver_id}"
        ctx.send(peer, Failed(request=message.request, reason=reason, code="not-found"))
        return
    watched = ctx.books.watching.get(peer, set())
    if len(watched) >= ctx.policy.watches or sum(watcher[0] == peer for watcher in driver.watchers) >= _OF_ONE_PEER:
        reason = (
            "this connection watches too many drivers (spark.stoker.limits.watches): use several, or ask for status"
        )
        ctx.send(peer, Failed(request=message.request, reason=reason))
        return
    add(ctx, driver, peer, message.request)
    ctx.send(peer, DriverUpdate(request=message.request, driver=driver_view(driver)))


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
