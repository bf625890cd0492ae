"""A short run of each fuzzer; ``make fuzz MINUTES=30`` is the long one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.attack.fuzz import run
from tests.attack.fuzz.targets import TARGETS, Handle, Maker

INPUTS = 300
GRAPHS = 100  # they take longest, and test_java_streams has more


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_is_a_crash_or_takes_long(target: str) -> None:
    run.fuzz(target, range(GRAPHS if target == "graphs" else INPUTS))


def _crash() -> None:
    raise KeyError("x")


def _hang() -> None:
    end = run.time.thread_time() + 2 * run.MOST_CPU
    while run.time.thread_time() < end:
        pass


class Growth:
    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def __call__(self, draw: random.Random) -> Handle:
        return lambda: self._kept.append(bytes([1]) * (200 << 10))


@pytest.mark.parametrize(
    ("make", "text"),
    [(lambda: lambda draw: _crash, "KeyError"), (lambda: lambda draw: _hang, "of CPU"), (Growth, "has grown")],
    ids=["crash", "hang", "growth"],
)
def test_it_finds(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Maker], text: str) -> None:
    monkeypatch.setitem(TARGETS, "codec", make)
    with pytest.raises(run.Found, match=text):
        run.fuzz("codec", range(1000))
