"""Size and removal of folders of jobs, whatever the jobs left there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stoker.worker.jobs import folders
from stoker.worker.jobs.folders import NotMeasured, disk_used, is_aside, log_files, remove, set_aside, set_files_aside

MIB = 1 << 20
ROLLED = "stdout--2026-01-31--12-00-00--0-9"


def filled(path: Path, mib: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(mib * MIB))
    return path


def test_all_that_a_job_wrote_counts_and_what_it_links_to_does_not(tmp_path: Path) -> None:
    filled(tmp_path / "elsewhere" / "large", 8)
    job = tmp_path / "job"
    filled(job / "deep" / "er" / "data", 2)
    (job / "deep" / "again").hardlink_to(job / "deep" / "er" / "data")
    (job / "there").symlink_to(tmp_path / "elsewhere")
    (job / "up").symlink_to(tmp_path)
    assert 2 * MIB <= disk_used(job, within=10) < 3 * MIB
    assert disk_used(job / "there", within=10) < MIB


def test_strange_names_are_measured(tmp_path: Path) -> None:
    for name in ("-rf", "two\nlines", "tab\tbed"):
        filled(tmp_path / name / "data", 1)
        assert disk_used(tmp_path / name, within=10) >= MIB


def test_folder_that_is_gone_takes_nothing(tmp_path: Path) -> None:
    assert disk_used(tmp_path / "gone", within=10) == 0


def test_without_du_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_ENVIRON", {"PATH": str(tmp_path)})
    with pytest.raises(NotMeasured, match="du"):
        disk_used(tmp_path, within=10)


def test_measuring_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    du = tmp_path / "du"
    du.write_text("#!/bin/sh\nsleep 100\n")
    du.chmod(0o755)
    monkeypatch.setattr(folders, "_ENVIRON", {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    with pytest.raises(NotMeasured, match=r"within 0\.2 s"):
        disk_used(tmp_path, within=0.2)


def test_files_go_and_logs_stay_with_their_time(tmp_path: Path) -> None:
    job = tmp_path / "job"
    for name in ("data", "sub/data", "stdout.not-a-log"):
        filled(job / name, 1)
    for name in ("stdout", "stderr", ".attempts", ROLLED, f"{ROLLED}.gz"):
        (job / name).write_text(name)
    os.utime(job, (1000, 1000))
    aside = set_files_aside(job)
    assert aside is not None and is_aside(aside.name)
    assert {path.name for path in job.iterdir()} == {"stdout", "stderr", ".attempts", ROLLED, f"{ROLLED}.gz"}
    assert (job / "stdout").read_text() == "stdout" and job.stat().st_mtime == 1000
    assert job.stat().st_mode & 0o777 == 0o700
    remove(aside)
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


def test_what_only_looks_like_a_log_goes_too(tmp_path: Path) -> None:
    job = tmp_path / "job"
    filled(job / "stdout" / "data", 1)
    (tmp_path / "other").write_text("of somebody else")
    job.joinpath("stderr").symlink_to(tmp_path / "other")
    assert log_files(job) == {}
    set_files_aside(job)
    assert list(job.iterdir()) == []


def test_folder_that_a_job_replaced_by_a_link_is_left_alone(tmp_path: Path) -> None:
    filled(tmp_path / "elsewhere" / "data", 1)
    (tmp_path / "job").symlink_to(tmp_path / "elsewhere")
    assert set_files_aside(tmp_path / "job") is None
    aside = set_aside(tmp_path / "job")
    assert aside is not None
    remove(aside)
    assert (tmp_path / "elsewhere" / "data").exists() and not os.path.lexists(aside)


def test_folders_of_one_name_are_set_aside_one_after_the_other(tmp_path: Path) -> None:
    found = set()
    for _ in range(3):
        (tmp_path / "job").mkdir()
        found.add(set_aside(tmp_path / "job"))
    assert len(found) == 3
    assert set_aside(tmp_path / "job") is None


def test_closed_folders_are_removed(tmp_path: Path) -> None:
    closed = tmp_path / "job" / "closed"
    filled(closed / "data", 1)
    closed.chmod(0)
    remove(tmp_path / "job")
    assert list(tmp_path.iterdir()) == []
