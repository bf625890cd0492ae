"""Old work directories: which are removed, and which never."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stoker.worker.jobs.cleanup import clean

DAY = 86400.0
DRIVER = "driver-20261101120000-0001"
APP = "app-20261101120000-0001"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for name in (DRIVER, APP, "mine", "driver-like"):
        (tmp_path / name / "0").mkdir(parents=True)
        (tmp_path / name / "0" / "stdout").write_text("said")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "app-20261101120000-0009").symlink_to(tmp_path / "elsewhere")
    age(tmp_path)
    return tmp_path


def age(folder: Path, days: float = 3) -> None:
    then = time.time() - days * DAY
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (then, then), follow_symlinks=False)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_only_folders_of_jobs_are_removed(work: Path) -> None:
    assert sorted(clean(work, DAY, lambda _: False)) == [APP, DRIVER]
    assert names(work) == {"mine", "driver-like", "elsewhere", "app-20261101120000-0009"}


def test_a_job_that_is_active_keeps_its_folder(work: Path) -> None:
    assert clean(work, DAY, lambda name: name == APP) == [DRIVER]


def test_the_newest_file_in_it_counts_not_the_folder_s_own_time(work: Path) -> None:
    (work / APP / "0" / "stdout").write_text("said a moment ago")
    then = time.time() - 3 * DAY
    os.utime(work / APP / "0", (then, then))
    os.utime(work / APP, (then, then))
    assert clean(work, DAY, lambda _: False) == [DRIVER]
    assert (work / APP / "0" / "stdout").exists()


def test_young_folders_stay(work: Path) -> None:
    assert clean(work, 10 * DAY, lambda _: False) == []
    assert {APP, DRIVER} <= names(work)


def test_a_job_that_became_active_while_its_files_were_looked_at_stays(work: Path) -> None:
    looks: list[str] = []

    def is_active(name: str) -> bool:
        looks.append(name)
        return looks.count(name) > 1

    assert clean(work, DAY, is_active) == []
