"""When the disk of jobs is measured, and what is reported."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from stoker.core.model.lifecycles import JobEvent
from stoker.core.model.messages import LaunchDriver, LaunchExecutor
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob
from stoker.worker.jobs import disk
from stoker.worker.jobs.disk import EVERY, FIRST, PART, DiskWatch, LimitedJob, limited
from stoker.worker.jobs.folders import NotMeasured
from tests.support.core import application, driver
from tests.support.wait import wait_until

APP = "app-20260101000000-0001"
MIB = 1 << 20


class Watched:
    """A watch over one folder; ``now`` is its clock (seconds)."""

    def __init__(self, folder: Path) -> None:
        self.used: list[tuple[str, int]] = []
        self.jobs = [LimitedJob("a", folder)]
        self.watch = DiskWatch(used=lambda key, used: self.used.append((key, used)), in_loop=lambda call: call())
        self.now = 1000.0

    def look(self, later: float = 0.0) -> None:
        self.now += later
        self.watch.look(self.now, lambda: self.jobs)
        thread = self.watch._thread
        if thread is not None:
            thread.join(10)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    found = Watched(tmp_path)
    monkeypatch.setattr("stoker.worker.jobs.disk.time.monotonic", lambda: found.now)
    return found


def test_jobs_are_measured_soon_and_then_more_and_more_rarely(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(MIB))
    watched.look()
    assert watched.used == []
    began, at = watched.now, list[float]()
    while watched.now < began + 40:
        watched.look(FIRST / 2)
        assert watched.watch.next_deadline() <= watched.now + FIRST
        at += [watched.now - began] * (len(watched.used) - len(at))
    assert at == [1.0, 3.0, 7.0, 15.0, 25.0, 35.0]
    assert watched.used[0][0] == "a" and watched.used[0][1] >= MIB


def test_job_with_many_files_is_measured_more_rarely(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(folder: Path, *, within: float) -> int:
        watched.now += 3.0
        return 5

    monkeypatch.setattr(disk, "disk_used", slow)
    watched.look()
    watched.look(FIRST)
    watched.look(2 * EVERY)
    assert len(watched.used) == 1
    watched.look(PART * 3.0)
    assert len(watched.used) == 2


def test_executors_share_their_application_s_scratch(watched: Watched, tmp_path: Path) -> None:
    for name in ("own", "one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_bytes(bytes(4 * MIB))
    watched.jobs = [LimitedJob("e", tmp_path / "own", (tmp_path / "one", tmp_path / "two"), sharers=4)]
    watched.look()
    watched.look(FIRST)
    assert 6 * MIB <= watched.used[0][1] < 6.5 * MIB


def test_without_limits_nothing_is_done(watched: Watched) -> None:
    watched.jobs = []
    watched.look()
    assert watched.watch.next_deadline() == float("inf") and watched.watch._thread is None


def test_failure_to_measure_is_said_once(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(folder: Path, *, within: float) -> int:
        raise NotMeasured("du cannot be run: No such file or directory")

    monkeypatch.setattr(disk, "disk_used", fail)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            watched.look(EVERY)
    assert [record.message for record in caplog.records] == [
        "the disk limit of a is not enforced for now: du cannot be run: No such file or directory"
    ]
    assert watched.used == []


def test_real_thread_ends_after_close(tmp_path: Path) -> None:
    watch = DiskWatch(used=lambda *_: None, in_loop=lambda call: call())
    watch.close()
    for now in (1.0, 2.0):
        watch.look(now, lambda: [LimitedJob("a", tmp_path)])
    wait_until(lambda: watch._thread is not None and not watch._thread.is_alive())


def test_only_running_jobs_with_a_limit_are_measured(tmp_path: Path) -> None:
    def running(job: AnyJob) -> AnyJob:
        job.run(JobEvent.FOUND)
        return job

    def executor(number: int, limit: int) -> AnyJob:
        app = application(max_disk_mib=limit)
        order = LaunchExecutor(epoch=1, app_id=APP, executor_id=number, cores=1, memory_mib=1, app=app)
        return ExecutorJob.ordered(order, 0.0)

    def submitted(number: int, limit: int) -> AnyJob:
        name = f"driver-20260101000000-000{number}"
        return DriverJob.ordered(
            LaunchDriver(epoch=1, driver_id=name, attempt=1, driver=driver(max_disk_mib=limit)), 0.0
        )

    jobs = [running(submitted(1, 5)), running(submitted(2, 0)), submitted(3, 5), running(executor(1, 7))]
    jobs += [running(executor(2, 7)), executor(3, 7)]
    found = limited(jobs, lambda job: tmp_path / job.key, lambda app_id: [tmp_path / app_id])
    assert [(job.key, job.sharers) for job in found] == [
        ("driver-20260101000000-0001:1", 1), (f"{APP}/1", 2), (f"{APP}/2", 2),
    ]  # fmt: skip
    assert found[1].scratch == (tmp_path / APP,)
