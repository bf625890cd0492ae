"""``python -m tests.attack.fuzz --minutes 30``: all targets, each with its part of the time. See tests/attack/fuzz."""

from __future__ import annotations

import argparse
import itertools
import sys
import time

from tests.attack.fuzz.run import Found, fuzz
from tests.attack.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of all targets together (default 30)")
    parser.add_argument("--target", choices=[*TARGETS], help="this one only")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--inputs", type=int, help="at most so many of each target")
    args = parser.parse_args()
    targets, failed = [args.target] if args.target else [*TARGETS], 0
    for target in targets:
        started = time.monotonic()
        until = started + args.minutes * 60 / len(targets)
        seeds = itertools.islice(itertools.count(args.first), args.inputs)
        try:
            done = fuzz(target, seeds, until=until)
            print(f"{target}: {done} inputs in {time.monotonic() - started:.0f} s", flush=True)
        except Found as found:
            failed += 1
            print(found, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
