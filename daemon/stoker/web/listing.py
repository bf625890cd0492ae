"""One table of a page, searched, filtered, sorted and paged on the server, so that it works at any size.

All of its state is in the URL, under names that start with the table's own: ``workers.q``, ``.state``, ``.sort``, ``.page``.
So it can be linked to, works without scripts, and several tables share a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import request

Row = TypeVar("Row")
ROWS = 25  # a page
MAX_QUERY = 200  # characters


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """``name`` names the column in the URL and ``key`` sorts by it; None for a column without an order. ``minor`` columns are
    hidden on a phone, ``wide`` ones on every narrow screen."""

    title: str
    name: str = ""
    key: Callable[[Row], Any] | None = None
    number: bool = False
    minor: bool = False
    wide: bool = False

    @property
    def classes(self) -> str:
        """Return the classes of its cells."""
        return " ".join(name for name in ("number", "minor", "wide") if getattr(self, name))


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """What all requests share. ``text`` returns what a search looks through; ``empty`` is shown instead of an empty table."""

    id: str
    heading: str
    columns: tuple[Column[Row], ...]
    text: Callable[[Row], str]
    state: Callable[[Row], str]
    empty: str = "None."


class Listing(Generic[Row]):
    """The rows of one request: ``total`` counts all, ``matched`` those that pass the filters, ``rows`` are this page."""

    def __init__(self, table: Table[Row], items: Sequence[Row], states: Counter[str] | None = None) -> None:
        self.table = table
        self.total: int = len(items)
        self.query: str = request.args.get(f"{table.id}.q", "")[:MAX_QUERY]
        self.state: str = request.args.get(f"{table.id}.state", "")
        sort = request.args.get(f"{table.id}.sort", "")
        self.descending: bool = sort.startswith("-")
        self.sort: str = sort.removeprefix("-")
        self.states: list[str] = sorted(states if states is not None else Counter(map(table.state, items)))
        found = self._sorted(self._found(items))
        self.matched: int = len(found)
        self.pages: int = max(1, -(-len(found) // ROWS))
        self.page: int = min(max(1, _number(request.args.get(f"{table.id}.page", ""))), self.pages)
        self.first: int = (self.page - 1) * ROWS
        self.rows = found[self.first : self.first + ROWS]

    def _found(self, items: Sequence[Row]) -> Sequence[Row]:
        table, words = self.table, self.query.lower().split()
        if self.state:
            items = [item for item in items if table.state(item) == self.state]
        if words:
            items = [item for item in items if _has_all(table.text(item).lower(), words)]
        return items

    def _sorted(self, items: Sequence[Row]) -> Sequence[Row]:
        for column in self.table.columns:
            if column.key is not None and column.name == self.sort:
                return sorted(items, key=column.key, reverse=self.descending)
        return items

    @property
    def is_asked(self) -> bool:
        """Whether a search or a filter is set."""
        return bool(self.query or self.state)

    def order(self, column: Column[Row]) -> str:
        """Return the value of aria-sort; nothing when the table is not sorted by that column."""
        if column.key is None or column.name != self.sort:
            return ""
        return "descending" if self.descending else "ascending"

    def sort_link(self, column: Column[Row]) -> str:
        down = self.order(column) == "ascending"
        return self._link(sort=f"{'-' * down}{column.name}", page="")

    def page_link(self, page: int) -> str:
        return self._link(page=page)

    @property
    def plain_link(self) -> str:
        return self._link(q="", state="", page="")

    def others(self) -> list[tuple[str, str]]:
        """Return the parameters that this table's form has to keep: those of other tables, and its own order."""
        own = {f"{self.table.id}.{name}" for name in ("q", "state", "page")}
        return [(name, value) for name, value in request.args.items() if name not in own]

    def _link(self, **changes: object) -> str:
        args = dict(request.args.items())
        for name, value in changes.items():
            args[f"{self.table.id}.{name}"] = str(value)
        kept = {name: value for name, value in args.items() if value}
        return f"{request.path}?{urlencode(kept)}#{self.table.id}"


def _has_all(text: str, words: list[str]) -> bool:
    return all(word in text for word in words)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
