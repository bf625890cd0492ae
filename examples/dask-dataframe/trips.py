"""A dataframe that no single executor holds: trips of taxis, made up, and what a mile cost by the hour of the day.

    stoker submit --wait --total-executor-cores 4 examples/dask-dataframe/trips.py [DAYS]

Needs Dask with dataframes on the driver's machine and the workers: pip install distributed cryptography 'dask[dataframe]'
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import dask.dataframe as dd
import numpy
import pandas

import stoker

if TYPE_CHECKING:
    from pandas import DataFrame

TRIPS = 50_000  # each day; a partition is a day


def day(number: int) -> DataFrame:
    """The same trips whenever and wherever it is called."""
    dice = numpy.random.default_rng(number)
    miles = dice.exponential(3.0, TRIPS)
    hour = dice.integers(0, 24, TRIPS)
    night = (hour < 6) * 1.5
    return pandas.DataFrame({"hour": hour, "miles": miles, "fare": 2.5 + miles * (2.0 + night)})


def main() -> None:
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with stoker.connect(name="trips") as app:
        app.dask()
        trips = dd.from_map(day, range(days))
        sums = trips.groupby("hour")[["miles", "fare"]].sum().compute().sort_index()
    sums["per mile"] = sums["fare"] / sums["miles"]
    print(f"{days * TRIPS:,} trips, {sums['miles'].sum():,.0f} miles")
    print(sums["per mile"].round(2).to_string())


if __name__ == "__main__":
    main()
