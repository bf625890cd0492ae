"""The daemon's own log: a window of the file that is its standard error, or the place of the log otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stoker.io.own_log import OwnLog


def test_a_file_is_read_by_windows_even_after_it_was_renamed(tmp_path: Path) -> None:
    path = tmp_path / "master.log"
    with path.open("wb") as file:
        file.write(b"0123456789")
        file.flush()
        log = OwnLog(file.fileno())
        assert log.read(None, 4) == (6, 10, b"6789")
        assert log.read(2, 3) == (2, 10, b"234")
        assert log.read(-5, 2) == (0, 10, b"01")
        assert log.read(1 << 62, 2) == (10, 10, b"")
        assert log.where() == str(path)
        path.rename(tmp_path / "master.log.1")
        assert log.read(None, 2) == (8, 10, b"89")
        assert log.where() == str(tmp_path / "master.log.1")


def test_a_log_that_is_no_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        log = OwnLog(writing)
        assert log.read(None, 100) is None
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
        assert "standard error" in log.where()
        monkeypatch.setenv("JOURNAL_STREAM", "8:1")
        assert f"journalctl _PID={os.getpid()}" in log.where()
    finally:
        os.close(reading)
        os.close(writing)
    assert log.read(None, 100) is None
    assert "closed" in log.where()
