"""Text for a terminal: tables, times, amounts. Whatever came from other users is made harmless first."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from stoker.core.model.resources import Addresses, counted
from stoker.core.model.values import Order

MOST_ROWS = 50
_WIDEST = 60  # characters of a cell
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_COLOURS = {
    "ALIVE": "32", "RUNNING": "32", "FINISHED": "2", "LAUNCHING": "33", "WAITING": "33", "SUBMITTED": "33",
    "RELAUNCHING": "33", "RECOVERING": "33", "UNKNOWN": "33", "STANDBY": "33", "DECOMMISSIONED": "33",
    "DEAD": "31", "FAILED": "31", "ERROR": "31", "KILLED": "31", "LOST": "31", "EXITED": "2",
}  # fmt: skip


def clean(text: str, widest: int = _WIDEST) -> str:
    """One line without control characters, which could be commands to the terminal; cut at ``widest`` characters."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= widest else shown[: widest - 1] + "…"


def ordered(order: Order | None, verb: str) -> str:
    """Who gave an order, how and when; "" without one."""
    return "" if order is None else f"{clean(order.words(verb), 200)}, {when(order.at)}"


def state(name: str) -> str:
    """Coloured, on a terminal (https://no-color.org)."""
    colour = _COLOURS.get(name)
    if colour is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return name
    return f"\x1b[{colour}m{name}\x1b[0m"


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, total: int | None = None) -> str:
    """Aligned columns under a title; says how many rows are left out when there are ``total``."""
    lines = [headers, *rows]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    body = ["  ".join(map(_padded, line, widths)).rstrip() for line in lines]
    shown = [f"{title} ({len(rows) if total is None else total})", *("  " + line for line in body)]
    left = (total or 0) - len(rows)
    if left > 0:
        shown.append(f"  ... and {left} more (--all)")
    return "\n".join(shown)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))


def _width(cell: str) -> int:
    """Columns of a terminal that a cell takes: without colours, wide characters twice, combining ones not at all."""
    plain = _COLOUR.sub("", cell)
    if plain.isascii():
        return len(plain)
    import unicodedata  # noqa: PLC0415 - large, and most clusters' names are ASCII

    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in plain
    )


def fields(pairs: Sequence[tuple[str, str]]) -> str:
    """Name and value on a line each, without those that have no value."""
    width = max((len(name) for name, value in pairs if value), default=0)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in pairs if value)


def when(seconds: float) -> str:
    """A time of day, here; empty for 0."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""


def lasting(start: float, end: float) -> str:
    """From ``start`` to ``end`` (0: now); empty when it has not started."""
    return duration(max(0.0, (end or time.time()) - start)) if start else ""


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def memory(mib: int) -> str:
    """As Spark writes it: MiB below one GiB."""
    return f"{mib} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def named(offered: Iterable[Addresses], used_of: Iterable[Addresses]) -> str:
    """Named resources of several workers together, "" without any: ``4 gpu (1 used)``."""
    total: Counter[str] = Counter()
    in_use: Counter[str] = Counter()
    for resources in offered:
        total.update(dict(counted(resources)))
    for resources in used_of:
        in_use.update(dict(counted(resources)))
    return clean(", ".join(used(f"{total[name]} {name}", str(in_use[name])) for name in sorted(total)), 400)


def used(total: str, in_use: str) -> str:
    return f"{total} ({in_use} used)"
