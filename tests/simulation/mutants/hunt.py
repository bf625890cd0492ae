"""Runs seeds until one finds a planted bug, beginning with the one that found it last time (``found_at.json``).

``python -m tests.simulation.mutants`` looks for the quickest seed of each again, and writes that file: after a change of the
core most seeds tell another story.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.simulation.mutants import MUTANTS, Mutation
from tests.simulation.run import Result, run

MOST_SEEDS = 1500
ENOUGH = 8  # seeds that find a bug, of which the quickest is written down
_MOST_SECONDS = 10.0  # of a search for a quicker one
_DOCS = Path(__file__).parents[3] / "docs" / "simulation.md"
_FOUND_AT = Path(__file__).with_name("found_at.json")


def named_checkers() -> dict[str, set[str]]:
    """Mutant -> the checkers that may find it, as in the table of docs/simulation.md."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", _DOCS.read_text(), re.MULTILINE)
    return {name: set(re.findall(r"`([\w-]+)`", checkers)) for name, checkers in rows}


def hunt(mutation: Mutation) -> Result | None:
    """The first run that finds the bug; None if none does."""
    last = json.loads(_FOUND_AT.read_text()).get(mutation.__name__, 0)
    with mutation():
        for seed in (last, *(seed for seed in range(MOST_SEEDS) if seed != last)):
            result = run(seed, faults=MUTANTS[mutation])
            if result.checker:
                return result
    return None


def quickest(mutation: Mutation) -> int | None:
    """The seed that finds the bug in the least time, of the first few that do, by a checker that is named for it; None if no
    seed does."""
    named = named_checkers()[mutation.__name__]
    found: list[tuple[float, int]] = []
    began = time.monotonic()
    with mutation():
        for seed in range(MOST_SEEDS):
            started = time.monotonic()
            if run(seed, faults=MUTANTS[mutation]).checker in named:
                found.append((time.monotonic() - started, seed))
            if len(found) >= ENOUGH or (found and time.monotonic() - began > _MOST_SECONDS):
                break
    return min(found)[1] if found else None


def write(found_at: dict[str, int]) -> None:
    _FOUND_AT.write_text(json.dumps(found_at, indent=1, sort_keys=True) + "\n")
