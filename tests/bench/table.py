"""A measure with its values, for Stoker and its peers, and the table of all measures."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from tabulate import tabulate

HEADS = ["measure", "unit", "Stoker", "min-max", "HyperQueue", "Dask", "to best peer", "target", ""]


@dataclass
class Measure:
    """``target`` is a limit; with ``beat_hyperqueue`` it is HyperQueue's median of the same run. ``rate``: more is better."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    target: float | None = None
    rate: bool = False
    beat_hyperqueue: bool = False
    hyperqueue: list[float] = field(default_factory=list)
    dask: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def best_peer(self) -> float | None:
        medians = [statistics.median(peer) for peer in (self.hyperqueue, self.dask) if peer]
        if not medians:
            return None
        return max(medians) if self.rate else min(medians)

    @property
    def ratio(self) -> float | None:
        """How many times better than the best peer; below 1 means worse."""
        peer = self.best_peer
        if peer is None or not peer or not self.median:
            return None
        return self.median / peer if self.rate else peer / self.median

    @property
    def limit(self) -> float | None:
        if self.beat_hyperqueue:
            return statistics.median(self.hyperqueue) if self.hyperqueue else None
        return self.target

    @property
    def is_met(self) -> bool | None:
        if self.limit is None:
            return None
        return self.median >= self.limit if self.rate else self.median <= self.limit

    def row(self) -> list[str]:
        sign = ">=" if self.rate else "<="
        spread = f"{number(min(self.values))}-{number(max(self.values))}" if len(self.values) > 1 else ""
        return [
            self.name,
            self.unit,
            number(self.median),
            spread,
            *(number(statistics.median(peer)) if peer else "" for peer in (self.hyperqueue, self.dask)),
            "" if self.ratio is None else f"{self.ratio:.2f}x",
            "" if self.limit is None else f"{sign} {number(self.limit)}",
            {True: "met", False: "MISSED", None: ""}[self.is_met],
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            "measure": self.name,
            "unit": self.unit,
            "median": self.median,
            "values": self.values,
            "hyperqueue": self.hyperqueue,
            "dask": self.dask,
            "ratio": self.ratio,
            "target": self.limit,
            "met": self.is_met,
            "note": self.note,
        }


def number(value: float) -> str:
    """Format a number: three significant digits, and whole numbers from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def render(measures: list[Measure]) -> str:
    rows = [measure.row() for measure in measures]
    kept = [index for index, head in enumerate(HEADS) if not head or any(row[index] for row in rows)]
    align = ["left" if HEADS[index] in {"measure", "unit", ""} else "right" for index in kept]
    table = tabulate(
        [[row[index] for index in kept] for row in rows],
        [HEADS[index] for index in kept],
        colalign=align,
        disable_numparse=True,
    )
    notes = [f"{measure.name}: {measure.note}" for measure in measures if measure.note]
    return "\n".join([table, "", *notes]) if notes else table
