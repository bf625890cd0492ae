"""Drivers that are to start after others have ended (``--after``, docs/scheduling.md).

A driver's record names the parents that it still awaits. The end of a parent changes the records of its children in the same
batch, so no master can know the one without the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from stoker.core.master.arrays.booking import task_of
from stoker.core.master.books import Books, Driver
from stoker.core.model.records import DriverRecord
from stoker.core.model.states import DriverState
from stoker.core.model.values import DriverDescription

_ONLY = {"ok": "it was to start only if that finishes", "failed": "it was to start only if that fails"}


def unknown(books: Books, description: DriverDescription) -> str:
    """Return why a submission cannot wait for what it names; "" if it can."""
    for parent_id in description.after:
        if books.find_driver(parent_id) is None:
            if (task := task_of(books, parent_id)) is not None:
                return f"--after: {parent_id} does not run: name its array, {task.head.record.id}"
            if parent_id in books.forgotten:
                return f"--after: {parent_id} ended too long ago: the master's history has no longer how"
            return f"--after: there is no driver {parent_id} to wait for: 'stoker status' lists them"
    return ""


def begin(books: Books, driver: Driver, parents: tuple[str, ...]) -> str:
    """Find out which of these parents a driver still awaits. Return why it can never start; "" if it may."""
    record = driver.record
    awaited, why = outlook(books, record.description, parents)
    record.awaits = () if why else awaited
    if record.awaits:
        for parent_id in record.description.after:
            books.waited_for.setdefault(parent_id, {})[record.id] = None
    return why


def outlook(books: Books, description: DriverDescription, parents: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return which of these parents a driver would still await, and why it can never start ("" if it may)."""
    awaited = []
    for parent_id in parents:
        parent = books.find_driver(parent_id)
        if parent is not None and not parent.record.state.is_final:
            awaited.append(parent_id)
        elif why := _broken(parent_id, parent.record if parent is not None else None, description):
            return tuple(awaited), why
    return tuple(awaited), ""


def parent_ended(books: Books, parent: DriverRecord) -> Iterator[tuple[Driver, str]]:
    """Yield each driver that awaited the parent, and why it can never start; "" if it can, as far as this parent goes."""
    for child_id in tuple(books.waited_for.get(parent.id, ())):
        child = books.drivers.get(child_id)
        if child is None or parent.id not in child.record.awaits:
            continue
        child.record.awaits = tuple(awaited for awaited in child.record.awaits if awaited != parent.id)
        why = _broken(parent.id, parent, child.record.description)
        if why or not child.record.awaits:
            forget(books, child)
        yield child, why


def forget(books: Books, child: Driver) -> None:
    """The driver waits for nobody any more."""
    child.record.awaits = ()
    for parent_id in child.record.description.after:
        children = books.waited_for.get(parent_id)
        if children is not None and children.pop(child.record.id, 0) is None and not children:
            del books.waited_for[parent_id]


def _broken(parent_id: str, parent: DriverRecord | None, description: DriverDescription) -> str:
    """Return why a driver can never start after the end of that parent; None: nobody knows how it ended."""
    wanted = description.after_end
    if wanted == "any":
        return ""
    if parent is None:
        return f"nobody knows how {parent_id} ended, and {_ONLY[wanted]}"
    if (parent.state is DriverState.FINISHED) is (wanted == "ok"):
        return ""
    return f"{parent_id} is {parent.state.value}, and {_ONLY[wanted]}"
