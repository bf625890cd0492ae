"""The shadow policy's shell: which files it follows, and when it compares."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path

import pytest

from stoker.core.forecast.rebuild import Snapshot
from stoker.core.master.show import scheduling
from stoker.core.model.pools import ShadowView
from stoker.master import pools_file, shadow
from stoker.master.pools_file import PoolsFile
from stoker.master.shadow import Shadow
from tests.support.core import Bench

ROUND = 10.0  # seconds between two rounds here, more than between two looks at a file


class Standing:
    """A master's files, its shadow, and a loop that runs what the thread hands in."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pools.yml"
        self.bench = Bench()
        self.bench.worker("w1", cores=2)
        self.shown: list[ShadowView | None] = []
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.write("pools: {default: {}}\nscheduler: {shadow: new.yml}\n")
        self.files = PoolsFile(self.path)
        self.shadow = Shadow(self.snapshot, self.shown.append, self.calls.put)
        self.mono = 0.0

    def write(self, text: str, name: str = "pools.yml") -> None:
        (self.path.parent / name).write_text(text)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.bench.core.view(), scheduling(self.bench.core.ctx, 0, ""))

    def round(self) -> float:
        self.mono += ROUND
        self.files.look(self.mono)
        return self.shadow.look(self.files, self.mono)

    def take(self) -> ShadowView:
        """Wait for a comparison's end, and return what it shows."""
        self.calls.get(timeout=20)()
        assert self.shown[-1] is not None
        return self.shown[-1]


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standing:
    monkeypatch.setattr(pools_file, "LOOK_INTERVAL", 0.0)
    monkeypatch.setattr(shadow, "INTERVAL", 0.0)  # at every round
    monkeypatch.setattr(shadow, "SHARE", 1e9)
    return Standing(tmp_path)


def test_it_compares_with_a_file_that_is_right(standing: Standing) -> None:
    standing.round()
    view = standing.shown[-1]
    assert view is not None and "cannot read" in view.fault
    standing.write("pools: {default: {weight: nine}}\n", "new.yml")
    standing.round()
    view = standing.shown[-1]
    assert view is not None and "weight: 'nine' is not a whole number" in view.fault
    standing.write("pools: {default: {weight: 9}}\n", "new.yml")
    assert standing.round() == float("inf")  # the thread ends the wait
    assert (standing.take().comparisons, standing.shown[-1]) == (1, standing.shown[-1])
    standing.round()
    assert standing.take().comparisons == 2
    standing.write("pools: {default: {weight: 8}}\n", "new.yml")
    standing.round()
    assert standing.take().comparisons == 1, "another file begins anew"
    standing.write("pools: {default: {}}\n")
    assert standing.round() == float("inf") and standing.shown[-1] is None


def test_it_does_not_hold_up_a_large_cluster(standing: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "MOST_WAITING", 2)
    for _ in range(3):
        standing.bench.submit(cores=2)
    standing.bench.submit(cores=2)
    standing.write("pools: {default: {weight: 9}}\n", "new.yml")
    standing.round()
    view = standing.shown[-1]
    assert view is not None and view.note == "3 jobs wait: no comparison is made of more than 2"


def test_a_comparison_that_fails_is_a_note(standing: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> ShadowView:
        raise ValueError

    monkeypatch.setattr(shadow, "compare", fail)
    standing.write("pools: {default: {weight: 9}}\n", "new.yml")
    standing.round()
    assert standing.take().note == "the latest comparison failed: see the master's log"
