"""``python -m tests.simulation.mutants``: find the quickest seed for each planted bug, on all processors."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count, nice

from tests.simulation.mutants import MUTANTS
from tests.simulation.mutants.hunt import MOST_SEEDS, quickest, write


def main() -> int:
    with ProcessPoolExecutor(cpu_count() or 1, initializer=nice, initargs=(5,)) as pool:
        seeds = dict(zip((mutation.__name__ for mutation in MUTANTS), pool.map(quickest, MUTANTS), strict=True))
    for name, seed in seeds.items():
        print(f"{name}: {f'seed {seed}' if seed is not None else f'not found by {MOST_SEEDS} seeds'}")
    write({name: seed for name, seed in seeds.items() if seed is not None})
    return 1 if None in seeds.values() else 0


if __name__ == "__main__":
    sys.exit(main())
