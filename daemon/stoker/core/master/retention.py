"""How many ended drivers and applications stay in the books (spec 5.1, retained*); the oldest are removed first."""

from __future__ import annotations

from stoker.core.master.context import Context
from stoker.core.model.records import app_key, driver_key, executor_key


def trim_drivers(ctx: Context, keep: int) -> None:
    books = ctx.books
    while len(books.completed_drivers) > keep:
        oldest = next(iter(books.completed_drivers))
        books.forget(oldest, books.completed_drivers.pop(oldest).record.token)
        ctx.forget(driver_key(oldest))


def trim_apps(ctx: Context, keep: int) -> None:
    books = ctx.books
    while len(books.completed_apps) > keep:
        oldest = next(iter(books.completed_apps))
        old = books.completed_apps.pop(oldest)
        books.forget(oldest, old.record.token)
        for executor in old.removed:
            ctx.forget(executor_key(oldest, executor.id))
        ctx.forget(app_key(oldest))
