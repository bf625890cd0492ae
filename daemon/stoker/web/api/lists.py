"""Lists in pages: which entries, in which order, and where the next page begins.

Jobs come newest first, workers oldest first, both by their ids, which never change. So a walk by cursor returns each entry
that exists all the time exactly once, however many are submitted, end, or change their state between two pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TypeVar

from stoker.core.model.filters import Filters
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, WorkerState
from stoker.core.model.values import APP_ID, DRIVER_ID, WORKER_ID
from stoker.core.model.views import AppView, DriverView, WorkerView
from stoker.web.api.model import Executors
from stoker.web.api.query import Parameter

Entry = TypeVar("Entry", WorkerView, DriverView, AppView)


def _state(states: type[Enum]) -> Parameter:
    return Parameter("state", "only those in this state", str, "", choices=tuple(state.value for state in states))


def _text(name: str, meaning: str) -> Parameter:
    return Parameter(name, meaning, str, "")


def _pages(cursor: str) -> tuple[Parameter, ...]:
    return (
        Parameter("limit", "how many at most", default=100, least=1, most=1000),
        Parameter("cursor", "'next' of the page before: where this page begins", str, "", pattern=f"^{cursor}$"),
        Parameter("offset", "how many to leave out; pages by offset skip and repeat entries while things change"),
    )


_WORKER = _text("worker", "only those on this worker: its id, HOST:PORT or HOST")
_WORDS = _text("text", "only those that contain all these words, as the dashboard's search")
_ACTIVE = Parameter(
    "active", "true: those that wait or run; false: those that have ended", str, "", choices=("true", "false")
)
_JOB = (
    _text("user", "only those of this user"),
    _text("pool", "only those of this pool"),
    _text("name", "only those of this name, in which * stands for any text"),
    _WORKER,
    _WORDS,
    _ACTIVE,
)
DRIVERS = (*_pages(DRIVER_ID.pattern), _state(DriverState), *_JOB)
APPLICATIONS = (*_pages(APP_ID.pattern), _state(ApplicationState), *_JOB)
WORKERS = (
    *_pages(WORKER_ID.pattern),
    _state(WorkerState),
    _WORKER,
    _WORDS,
    Parameter("application", "only those with an executor of this one", str, "", pattern=f"^{APP_ID.pattern}$"),
)
EXECUTORS = (
    Parameter("limit", "how many at most", default=1000, least=1, most=1000),
    Parameter("cursor", "'next' of the page before: where this page begins", str, "", pattern="^[0-9]{1,10}$"),
    _state(ExecutorState),
    _WORKER,
)


def age(identifier: str) -> tuple[str, int, str, int]:
    """Return a key by which ids sort in the order in which they were made; tasks of an array by their indices."""
    before, _, last = identifier.rpartition("-")
    number, _, index = last.partition("_")
    return before, len(number), number, int(index or -1)


def chosen(active: str, running: Sequence[Entry], ended: Sequence[Entry]) -> list[Entry]:
    """``active`` is the parameter's value: "true", "false" or "" for both."""
    found: list[Entry] = []
    if active != "false":
        found += running
    if active != "true":
        found += ended
    return found


def page(
    found: list[Entry], *, limit: int, cursor: str, offset: int, newest_first: bool
) -> tuple[tuple[Entry, ...], str]:
    """Return one page, and the cursor of the next one ("": this is the last). ``offset`` counts from the cursor."""
    rows = sorted(found, key=lambda entry: age(entry.id), reverse=newest_first)
    if cursor:
        begin = age(cursor)
        rows = [entry for entry in rows if (age(entry.id) < begin if newest_first else age(entry.id) > begin)]
    shown = tuple(rows[offset : offset + limit])
    return shown, shown[-1].id if offset + limit < len(rows) else ""


def executors_page(app: AppView, filters: Filters, *, limit: int, cursor: str) -> Executors:
    """Return one page of the live and the ended executors, by their numbers, which they keep when they end."""
    live = filters.executors(app.executors)
    found = sorted((*live, *filters.executors(app.removed_executors)), key=lambda executor: executor.id)
    rows = [executor for executor in found if not cursor or executor.id > int(cursor)]
    ids = {executor.id for executor in live}
    return Executors(
        total=len(found),
        next=str(rows[limit - 1].id) if limit < len(rows) else "",
        executors=tuple(executor for executor in rows[:limit] if executor.id in ids),
        removed=tuple(executor for executor in rows[:limit] if executor.id not in ids),
    )


def filters_of(query: dict[str, str]) -> Filters:
    return Filters(**{name: value for name, value in query.items() if name in Filters.__dataclass_fields__})
