"""What a worker removes by itself, and when."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stoker.worker.jobs import housekeeping as housekeeping_module
from stoker.worker.jobs.cache import BlobCache
from stoker.worker.jobs.housekeeping import CACHE_EVERY, CACHE_UNUSED_FOR, Housekeeping
from stoker.worker.jobs.prepare import Preparer
from tests.support.settings import empty_environ, worker
from tests.support.wait import wait_until

APP, OLD = "app-20260101000000-0001", "driver-20250101000000-0001"
HALF_HOUR = 1800.0  # seconds; spark.worker.cleanup.interval by default


class House:
    """Housekeeping over real folders; ``now`` is its clock (seconds), ``active`` the jobs that run."""

    def __init__(self, folder: Path, *, cleanup: bool) -> None:
        option = f"-Dspark.worker.cleanup.enabled={str(cleanup).lower()}"
        config = worker({**empty_environ(folder), "SPARK_WORKER_OPTS": option}, "-d", str(folder / "work"))
        self.active: set[str] = set()
        self.local = folder / "local" / f"stoker-{APP}"
        self.cache = folder / "cache"
        self.work = folder / "work"
        cache = BlobCache(self.cache, lambda _: False)
        preparer = Preparer(
            self.work,
            (folder / "local",),
            cache,
            environ={},
            prepared=lambda _: None,
            failed=lambda *_: None,
            in_loop=lambda call: call(),
        )
        self.now = time.monotonic()
        self.keeping = Housekeeping(config, cache, preparer, lambda: self.active)

    def look(self, later: float = 0.0) -> None:
        self.now += later
        self.keeping.look(self.now)


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., House]:
    return lambda **how: House(tmp_path, **how)


def make_old(path: Path) -> Path:
    os.utime(path, (1000.0, 1000.0))
    return path


def test_an_application_s_folders_stay_until_its_last_executor_has_ended(house: Callable[..., House]) -> None:
    kept = house(cleanup=False)
    kept.local.mkdir(parents=True)
    kept.active.add(APP)
    kept.keeping.application_over(APP)
    kept.look()
    assert kept.local.is_dir()
    kept.active.clear()
    kept.look()
    assert not kept.local.exists()
    kept.local.mkdir()
    kept.look()
    assert kept.local.is_dir(), "it is removed once"


def test_old_folders_are_looked_for_once_an_interval(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    monkeypatch.setattr(housekeeping_module, "clean", lambda folder, *_: looks.append(folder))

    def seen(times: int) -> bool:
        return len(looks) == times

    kept = house(cleanup=True)
    kept.look(HALF_HOUR - 1)
    assert looks == []
    for times in (1, 2):
        assert kept.keeping.next_deadline() <= kept.now + HALF_HOUR
        kept.look(HALF_HOUR)
        wait_until(functools.partial(seen, times))
        kept.look(1.0)
        assert len(looks) == times
    assert looks[0] == kept.work


def test_old_folders_of_ended_jobs_are_removed_and_others_stay(house: Callable[..., House]) -> None:
    kept = house(cleanup=True)
    for name in (OLD, APP):
        (kept.work / name).mkdir(parents=True)
        make_old(kept.work / name)
    kept.active.add(APP)
    kept.look(HALF_HOUR + 1)
    wait_until(lambda: not (kept.work / OLD).exists())
    assert (kept.work / APP).is_dir()


def test_without_cleanup_old_folders_stay(house: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    monkeypatch.setattr(housekeeping_module, "clean", lambda folder, *_: looks.append(folder))
    kept = house(cleanup=False)
    kept.look(1000 * HALF_HOUR)
    assert looks == []


def test_unused_uploads_are_removed_every_hour(house: Callable[..., House]) -> None:
    kept = house(cleanup=False)
    for name in ("a" * 64, "b" * 64):
        path = kept.cache / name
        path.touch()
        os.utime(path, (time.time() - CACHE_UNUSED_FOR + 60,) * 2)
        kept.look(CACHE_EVERY + 1)
        assert path.exists(), "it was used less than a day ago"
        make_old(path)
        kept.look()
        assert path.exists(), "it is looked at once an hour"
        kept.look(CACHE_EVERY + 1)
        assert not path.exists()
