"""``python -m tests.simulation``: run seeds, on all processors. A seed that fails prints its story's end, and can be run
again: ``python -m tests.simulation --seed N --trace``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count, nice

from tests.simulation.run import Result, run

SHOWN = 60  # lines of the story of a failure


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--trace", action="store_true", help="with --seed: tell the whole story")
    parser.add_argument("--seeds", type=int, default=500, help="how many (default 500)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--jobs", type=int, default=cpu_count() or 1, help="processes (default: one a processor)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the tenth failure")
    args = parser.parse_args()
    if args.seed is not None:
        return _one(args.seed, trace=args.trace)
    return _many(range(args.first, args.first + args.seeds), args.jobs, most=10**9 if args.keep_going else 10)


def _one(seed: int, *, trace: bool) -> int:
    lines: deque[str] = deque(maxlen=SHOWN)
    result = run(seed, print if trace else lines.append)
    if result.checker and not trace:
        print("\n".join(lines))
    print(_verdict(result))
    return 1 if result.checker else 0


def _many(seeds: range, jobs: int, *, most: int) -> int:
    started, failed, simulated = time.monotonic(), 0, 0.0
    with ProcessPoolExecutor(jobs, initializer=nice, initargs=(5,)) as pool:
        for result in pool.map(run, seeds, chunksize=5):
            simulated += result.seconds
            if result.checker:
                failed += 1
                print(_verdict(result), flush=True)
                if failed >= most:
                    pool.shutdown(cancel_futures=True)
                    break
    took = time.monotonic() - started
    print(f"{len(seeds)} seeds, {failed} failed, {simulated / 3600:.1f} simulated hours in {took:.0f} s")
    return 1 if failed else 0


def _verdict(result: Result) -> str:
    if not result.checker:
        return f"seed {result.seed}: ok, {result.lines} lines, {result.seconds:.0f} s simulated"
    again = f"python -m tests.simulation --seed {result.seed} --trace"
    return f"seed {result.seed}: {result.checker}: {result.text}\n  again: {again}"


if __name__ == "__main__":
    sys.exit(main())
