"""The process that fetches a file for a job: it arrives whole or not at all, and the exit status says whose fault it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stoker.io.fetch import NO_ROOM

pytest.importorskip("fsspec", reason="files are fetched through fsspec")

CONTENT = b"content " * 500_000  # more than is copied at once


def fetch(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "stoker.io.fetch", source.as_uri(), str(target)]
    return subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)


def test_a_file_arrives_whole(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    assert fetch(tmp_path / "source", tmp_path / "target").returncode == 0
    assert (tmp_path / "target").read_bytes() == CONTENT
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}


def test_a_full_disk_is_this_machine_s_fault_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    (tmp_path / "target.part").symlink_to("/dev/full")
    done = fetch(tmp_path / "source", tmp_path / "target")
    assert done.returncode == NO_ROOM
    assert "No space left" in done.stdout and len(done.stdout.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_a_missing_file_is_the_job_s_fault(tmp_path: Path) -> None:
    done = fetch(tmp_path / "source", tmp_path / "target")
    assert done.returncode not in (0, NO_ROOM)
    assert "there is no such file" in done.stdout or "No such file" in done.stdout
    assert list(tmp_path.iterdir()) == []
