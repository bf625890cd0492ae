"""What a worker removes by itself, and when."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stoker.core.model.messages import LaunchDriver, LaunchExecutor
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob
from stoker.worker.jobs.cache import BlobCache
from stoker.worker.jobs.housekeeping import CACHE_EVERY, CACHE_UNUSED_FOR, SOON, Housekeeping
from stoker.worker.jobs.prepare import Preparer
from tests.support.core import application, driver
from tests.support.settings import empty_environ, worker

APP, OLD = "app-20260101000000-0001", "driver-20250101000000-0001"
HALF_HOUR = 1800.0  # seconds; spark.worker.cleanup.interval by default


class House:
    """Housekeeping over real folders; ``now`` is its clock (seconds), ``jobs`` those of the worker."""

    def __init__(self, folder: Path, *, cleanup: bool, **properties: str) -> None:
        options = {"enabled": str(cleanup).lower(), "appDataTtl": "3d"}
        words = [f"-Dspark.worker.cleanup.{name}={value}" for name, value in options.items()]
        words += [f"-Dspark.stoker.worker.cleanup.{name}={value}" for name, value in properties.items()]
        environ = {
            **empty_environ(folder),
            "SPARK_WORKER_OPTS": " ".join(words),
            "SPARK_LOCAL_DIRS": str(folder / "local"),
        }
        config = worker(environ, "-d", str(folder / "work"))
        self.jobs: list[AnyJob] = []
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
        self.keeping = Housekeeping(
            config,
            cache,
            preparer,
            slot=self.work / ".stoker" / "worker-1",
            jobs=lambda: self.jobs,
            in_loop=lambda call: call(),
        )

    def look(self, later: float = 0.0) -> None:
        self.now += later
        self.keeping.look(self.now)
        thread = self.keeping._thread
        if thread is not None:
            thread.join(20)

    def leftover(self, job: AnyJob, *, is_old: bool = True) -> Path:
        """Make the folder that the job leaves."""
        folder = self.work / (job.driver_id if isinstance(job, DriverJob) else job.key)
        (folder / "sub").mkdir(parents=True)
        for name in ("stdout", "sub/data"):
            (folder / name).write_text("x")
        if is_old:
            for path in (folder / "stdout", folder):
                make_old(path)
        return folder


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., House]:
    return lambda **how: House(tmp_path, **how)


def make_old(path: Path) -> Path:
    os.utime(path, (1000.0, 1000.0))
    return path


def an_executor(number: int = 1) -> AnyJob:
    order = LaunchExecutor(epoch=1, app_id=APP, executor_id=number, cores=1, memory_mib=1, app=application())
    return ExecutorJob.ordered(order, 0.0)


def a_driver(attempt: int = 1) -> AnyJob:
    return DriverJob.ordered(LaunchDriver(epoch=1, driver_id=OLD, attempt=attempt, driver=driver()), 0.0)


def test_an_application_s_folders_stay_until_its_last_executor_has_ended(house: Callable[..., House]) -> None:
    kept = house(cleanup=False)
    kept.local.mkdir(parents=True)
    kept.jobs.append(an_executor())
    kept.keeping.application_over(APP)
    kept.look()
    assert kept.local.is_dir()
    kept.jobs.clear()
    kept.look()
    assert list(kept.local.parent.iterdir()) == []
    kept.local.mkdir()
    kept.look()
    assert kept.local.is_dir(), "it is removed once"


def test_old_folders_are_looked_for_once_an_interval(house: Callable[..., House]) -> None:
    kept = house(cleanup=True)
    kept.leftover(a_driver())
    kept.look(HALF_HOUR - 1)
    assert (kept.work / OLD).exists()
    for _ in range(2):
        assert kept.keeping.next_deadline() <= kept.now + HALF_HOUR
        kept.look(HALF_HOUR)
        assert not (kept.work / OLD).exists()
        kept.leftover(a_driver())
        kept.look(1.0)
        assert (kept.work / OLD).exists()


def test_short_disk_is_cleaned_at_once_and_then_once_a_minute(house: Callable[..., House]) -> None:
    kept = house(cleanup=True)
    kept.leftover(a_driver())
    kept.keeping.clean_soon()
    assert kept.keeping.next_deadline() <= kept.now
    kept.look()
    assert not (kept.work / OLD).exists()
    kept.leftover(a_driver())
    kept.keeping.clean_soon()
    kept.look(SOON - 1)
    assert (kept.work / OLD).exists()
    kept.look(1.0)
    assert not (kept.work / OLD).exists()


def test_old_folders_of_ended_jobs_are_removed_and_others_stay(house: Callable[..., House]) -> None:
    kept = house(cleanup=True)
    for job in (a_driver(), an_executor(1), an_executor(2)):
        kept.leftover(job)
    kept.jobs.append(an_executor(2))
    kept.look(HALF_HOUR + 1)
    assert sorted(path.name for path in kept.work.iterdir()) == [APP]
    assert [path.name for path in (kept.work / APP).iterdir()] == ["2"]
    kept.jobs.clear()
    kept.look(HALF_HOUR + 1)
    assert list(kept.work.iterdir()) == [], "nor does the application's own folder stay"


def test_job_that_starts_during_a_round_keeps_its_folder(house: Callable[..., House]) -> None:
    kept = house(cleanup=True)
    kept.leftover(a_driver())

    def starts_meanwhile(call: Callable[[], None]) -> None:
        kept.jobs.append(a_driver(attempt=2))
        call()

    kept.keeping._in_loop = starts_meanwhile
    kept.look(HALF_HOUR + 1)
    assert (kept.work / OLD / "sub" / "data").exists()


def test_end_of_a_job_is_noted_so_its_age_counts_from_then(house: Callable[..., House]) -> None:
    kept = house(cleanup=True)
    kept.keeping.ended(a_driver())  # its folder has been removed: no error
    folder = kept.leftover(a_driver())
    kept.keeping.ended(a_driver())
    kept.look(HALF_HOUR + 1)
    assert (folder / "sub" / "data").exists()


def test_files_go_when_a_job_has_ended_if_so_configured(house: Callable[..., House]) -> None:
    kept = house(cleanup=True, onFinish="files")
    folder = kept.leftover(a_driver())
    kept.jobs.append(a_driver(attempt=2))
    kept.keeping.ended(a_driver())
    kept.look()
    assert (folder / "sub").exists(), "its next attempt runs there"
    kept.jobs.clear()
    kept.keeping.ended(a_driver(attempt=2))
    kept.look()
    assert [path.name for path in folder.iterdir()] == ["stdout"]
    assert [path.name for path in kept.work.iterdir()] == [OLD]


def test_without_cleanup_old_folders_stay(house: Callable[..., House]) -> None:
    kept = house(cleanup=False, onFinish="files")
    folder = kept.leftover(a_driver())
    kept.keeping.ended(a_driver())
    make_old(folder)
    kept.keeping.clean_soon()
    kept.look(1000 * HALF_HOUR)
    assert (folder / "sub" / "data").exists()


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
