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
    hidden on a phone, ``wide`` ones on every narrow screen, and those ``of_pools`` where there are not several pools."""

    title: str
    name: str = ""
    key: Callable[[Row], Any] | None = None
    number: bool = False
    minor: bool = False
    wide: bool = False
    of_pools: bool = False

    @property
    def classes(self) -> str:
        """Return the classes of its cells."""
        return " ".join(name for name in ("number", "minor", "wide") if getattr(self, name))


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """What all requests share. ``text`` returns what a search looks through; ``state`` and ``pool`` are what can be selected
    (None: nothing); ``empty`` is shown instead of an empty table."""

    id: str
    heading: str
    columns: tuple[Column[Row], ...]
    text: Callable[[Row], str]
    state: Callable[[Row], str] | None
    empty: str = "None."
    pool: Callable[[Row], str] | None = None


class Listing(Generic[Row]):
    """The rows of one request: ``total`` counts all, ``matched`` those that pass the filters, ``rows`` are this page."""

    def __init__(
        self,
        table: Table[Row],
        items: Sequence[Row],
        states: Counter[str] | None = None,
        *,
        pools: Sequence[str] = (),
    ) -> None:
        """``states`` counts the items by state, if that is known already. ``pools``: the names of the cluster's pools."""
        self.table = table
        self.pools: list[str] = list(pools) if table.pool is not None and len(pools) > 1 else []
        self.columns = [column for column in table.columns if self.pools or not column.of_pools]
        self.total: int = len(items)
        self.query: str = request.args.get(f"{table.id}.q", "")[:MAX_QUERY]
        self.state: str = request.args.get(f"{table.id}.state", "")
        self.pool: str = request.args.get(f"{table.id}.pool", "")
        sort = request.args.get(f"{table.id}.sort", "")
        self.descending: bool = sort.startswith("-")
        self.sort: str = sort.removeprefix("-")
        if states is None:
            states = Counter(map(table.state, items)) if table.state is not None else Counter()
        self.states: list[str] = sorted(states)
        found = self._sorted(self._found(items))
        self.matched: int = len(found)
        self.pages: int = max(1, -(-len(found) // ROWS))
        self.page: int = min(max(1, _number(request.args.get(f"{table.id}.page", ""))), self.pages)
        self.first: int = (self.page - 1) * ROWS
        self.rows = found[self.first : self.first + ROWS]

    def _found(self, items: Sequence[Row]) -> Sequence[Row]:
        table, words = self.table, self.query.lower().split()
        if self.state and table.state is not None:
            items = [item for item in items if table.state(item) == self.state]
        if self.pool and table.pool is not None:
            items = [item for item in items if table.pool(item) == self.pool]
        if words:
            items = [item for item in items if _has_all(table.text(item).lower(), words)]
        return items

    def _sorted(self, items: Sequence[Row]) -> Sequence[Row]:
        for column in self.columns:
            if column.key is not None and column.name == self.sort:
                return sorted(items, key=column.key, reverse=self.descending)
        return items

    @property
    def is_asked(self) -> bool:
        """Whether a search or a filter is set."""
        return bool(self.query or self.state or self.pool)

    @property
    def selections(self) -> list[tuple[str, str, list[str]]]:
        """Return for each filter with a list of choices: its name, what is chosen, and the choices."""
        found = [("state", self.state, self.states)] if self.table.state is not None else []
        return [*found, ("pool", self.pool, self.pools)] if self.pools else found

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
        return self._link(q="", state="", pool="", page="")

    def others(self) -> list[tuple[str, str]]:
        """Return the parameters that this table's form has to keep: those of other tables, and its own order."""
        own = {f"{self.table.id}.{name}" for name in ("q", "state", "pool", "page")}
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
