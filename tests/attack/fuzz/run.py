"""Runs one target on a range of seeds."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from tests.attack.fuzz.targets import TARGETS, ConfigurationFile, Http, Maker

MOST_CPU = 0.1  # seconds of one input
MOST_MEMORY = 64 << 20  # bytes by which one target's inputs may make the process grow


class Found(AssertionError):
    """A bug, with the command that shows it again."""


def fuzz(target: str, seeds: Iterable[int], *, until: float = float("inf")) -> int:
    """Return how many inputs were handled until ``until`` (of time.monotonic). Raises Found."""
    make = TARGETS[target]()
    try:
        return _fuzz(make, target, seeds, until)
    finally:
        if isinstance(make, Http | ConfigurationFile):
            make.close()


def _fuzz(make: Maker, target: str, seeds: Iterable[int], until: float) -> int:
    done = before = 0
    for seed in seeds:
        if time.monotonic() >= until:
            break
        took = _cost(make, target, seed)
        if took > MOST_CPU:  # the least of three: other programs cost CPU as well
            took = min(took, _cost(make, target, seed), _cost(make, target, seed))
        if took > MOST_CPU:
            raise Found(f"{target}, seed {seed}: {took:.3f} s of CPU{_again(target, seed)}")
        done += 1
        if done == 500:
            before = _memory()  # now everything is loaded that is loaded once
        if before and done % 1000 == 0 and _memory() - before > MOST_MEMORY:
            raise Found(f"{target}: the process has grown by {_memory() - before >> 20} MiB at seed {seed}")
    return done


def _cost(make: Maker, target: str, seed: int) -> float:
    handle = make(random.Random(f"{target} {seed}"))
    started = time.thread_time()
    try:
        handle()
    except Exception as error:
        raise Found(f"{target}, seed {seed}: {type(error).__name__}: {error}{_again(target, seed)}") from error
    return time.thread_time() - started


def _memory() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _again(target: str, seed: int) -> str:
    return f"\n  again: python -m tests.attack.fuzz --target {target} --first {seed} --inputs 1"
