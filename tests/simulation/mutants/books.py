"""Bugs in what is booked: cores, addresses, pools, executors, the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from stoker.core.master import (
    drivers,
    executor_reports,
    executors,
    schedule,
)
from stoker.core.master.books import Books
from stoker.core.master.books import Worker as BookedWorker
from stoker.core.master.context import Context
from stoker.core.master.scheduling.queue import DriverQueue, Lane
from stoker.core.master.sharing import reserving
from stoker.core.master.sharing.accounts import Accounts
from stoker.core.master.sharing.turns import Turns
from stoker.core.model.principal import Asker
from stoker.core.model.resources import Amounts, pairs, take_lowest
from stoker.core.worker import machine
from stoker.core.worker.room import lack_for
from tests.simulation.mutants.left_out import left_out


@contextmanager
def leaked_cores() -> Iterator[None]:
    """The cores of an ended driver are not released."""
    release = Books.release_driver

    def leak(self: Books, driver: Any) -> None:
        worker = self.workers.get(driver.record.attempts[-1].worker_id) if driver.record.attempts else None
        before = worker.cores_used if worker is not None else 0
        release(self, driver)
        if worker is not None:
            worker.cores_used = before

    with patch.object(Books, "release_driver", leak):
        yield


@contextmanager
def no_limits() -> Iterator[None]:
    """A pass does not ask for the limits of pools."""
    turns_of = reserving.turns_of

    def blind(ctx: Context) -> Turns:
        turns = turns_of(ctx)
        turns.refusal = lambda *_, **__: ""  # type: ignore[method-assign]
        return turns

    with patch.object(schedule, "turns_of", blind):  # the checker has the real one
        yield


@contextmanager
def unlimited_gpus() -> Iterator[None]:
    """A pass does not ask for the limits of pools on named resources."""
    turns_of = reserving.turns_of

    def blind(ctx: Context) -> Turns:
        turns = turns_of(ctx)
        refusal = turns.refusal
        turns.refusal = (  # type: ignore[method-assign]
            lambda name, who, cores, memory, _=(), **more: refusal(name, who, cores, memory, **more)
        )
        return turns

    with patch.object(schedule, "turns_of", blind):
        yield


@contextmanager
def never_credited() -> Iterator[None]:
    """The end of a driver is not credited to its pool and user."""
    charge = Accounts.charge

    def only_debits(
        self: Accounts, account: Any, cores: int, memory_mib: int, resources: Amounts = (), *, drivers: int = 0
    ) -> None:
        if drivers >= 0:
            charge(self, account, cores, memory_mib, resources, drivers=drivers)

    with patch.object(Accounts, "charge", only_debits):
        yield


@contextmanager
def last_in_first_out() -> Iterator[None]:
    """New drivers go to the head of the queue."""
    push = DriverQueue.push

    def at_the_head(self: DriverQueue, driver_id: str, lane: Lane, *, first: bool = False) -> None:
        push(self, driver_id, lane, first=True)

    with patch.object(DriverQueue, "push", at_the_head):
        yield


@contextmanager
def free_while_dying() -> Iterator[None]:
    """Cores and memory of processes that are still being killed are granted again."""
    with patch.object(Books, "mark_dying", left_out):
        yield


@contextmanager
def freed_at_kill() -> Iterator[None]:
    """An address is granted again when the kill is sent, and the worker does not notice that it is still held."""
    mark, kill = Books.mark_dying, drivers.kill

    def without(self: Books, worker: Any, key: Any, cores: int, memory_mib: int, resources: Any) -> None:
        mark(self, worker, key, cores, memory_mib, ())

    def freeing(ctx: Context, peer: Any, request: int, driver_id: str, *, by: Asker) -> None:
        kill(ctx, peer, request, driver_id, by=by)
        driver = ctx.books.drivers.get(driver_id)
        if driver is not None and driver.record.attempts:
            attempt = driver.record.attempts[-1]
            worker = ctx.books.workers.get(attempt.worker_id)
            if worker is not None and driver_id in worker.drivers:
                for pair in pairs(attempt.resources):
                    worker.held.pop(pair)
                attempt.resources = ()

    def blind(job: Any, identity: Any, used: Any) -> str:
        return lack_for(job, identity, used._replace(resources=()))

    with (
        patch.object(Books, "mark_dying", without),
        patch.object(drivers, "kill", freeing),
        patch.object(machine, "lack_for", blind),
    ):
        yield


@contextmanager
def second_grant() -> Iterator[None]:
    """An address that a job holds is granted to another one."""

    def of_all(self: BookedWorker, amounts: Any) -> Any:
        return take_lowest(self.record.resources, (), amounts)

    with patch.object(BookedWorker, "lowest_free", of_all):
        yield


@contextmanager
def orphaned_executors() -> Iterator[None]:
    """The executors of an ended application are not killed."""
    with patch.object(executors, "kill", left_out):
        yield


@contextmanager
def no_replacement() -> Iterator[None]:
    """After an executor has ended, the master does not look for work for its cores."""
    ended = executor_reports.ended

    def idle(ctx: Context, app: Any, executor: Any, event: Any, exit: Any) -> None:
        before = ctx.schedule_wanted
        ended(ctx, app, executor, event, exit)
        ctx.schedule_wanted = before

    with patch.object(executor_reports, "ended", idle):
        yield
