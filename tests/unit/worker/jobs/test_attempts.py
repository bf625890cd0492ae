"""Which part of a driver's output each attempt wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stoker.core.model.messages import LogData, ReadLog
from stoker.worker.jobs.attempts import NAME, note_attempt
from stoker.worker.jobs.logs import LogReader

DRIVER = "driver-20260101000000-0001"


class Folder:
    def __init__(self, work: Path) -> None:
        self.path = work / DRIVER
        self.path.mkdir()
        self.over = False
        self.reader = LogReader(work, is_over=lambda *_: self.over, reply=lambda *_: None)

    def runs(self, attempt: int, stdout: bytes, stderr: bytes = b"") -> None:
        note_attempt(self.path, attempt)
        for name, data in (("stdout", stdout), ("stderr", stderr)):
            with (self.path / name).open("ab") as file:
                file.write(data)

    def read(self, attempt: int, stream: str = "stdout", **how: int | str | bool) -> LogData:
        question = {"request": 1, "id": DRIVER, "stream": stream, "attempt": attempt, **how}
        return self.reader.read(ReadLog(**question))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.runs(1, b"first\n", b"e1\n")
    folder.runs(2, b"", b"e2\n")
    folder.runs(4, b"fourth\nand more\n")
    return folder


def test_each_attempt_has_its_own_output(folder: Folder) -> None:
    assert [folder.read(number).data for number in (1, 2, 4)] == [b"first\n", b"", b"fourth\nand more\n"]
    assert [folder.read(number, "stderr").data for number in (1, 2, 4)] == [b"e1\n", b"e2\n", b""]
    assert folder.read(0).data == b"first\nfourth\nand more\n"
    assert [folder.read(number).attempt for number in (0, 1, 4)] == [0, 1, 4]


def test_offsets_count_within_the_attempt(folder: Folder) -> None:
    answer = folder.read(4, offset=7, limit=3)
    assert (answer.offset, answer.size, answer.data) == (7, 16, b"and")
    assert folder.read(1, offset=-3).data == b"st\n"
    assert (folder.read(1, offset=99).offset, folder.read(1, offset=99).data) == (0, b"first\n")
    found = folder.read(4, find="more")
    assert (found.found, found.size) == (11, 16)
    assert folder.read(1, find="more").found == -1


def test_an_attempt_ends_when_the_next_begins(folder: Folder) -> None:
    assert (folder.read(1).ended, folder.read(4).ended) == (True, False)
    folder.over = True
    assert folder.read(4).ended


def test_an_attempt_that_has_not_begun_is_waited_for(folder: Folder) -> None:
    assert folder.read(5).waiting
    folder.over = True
    assert "attempt 5 has never run on this worker" in folder.read(5).error
    assert "attempt 3" in folder.read(3).error


def test_attempts_of_an_earlier_release_share_their_output(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (folder.path / "stdout").write_bytes(b"old\n")
    assert (folder.read(1).data, folder.read(2).data) == (b"old\n", b"old\n")
    folder.runs(3, b"new\n")
    assert [folder.read(number).data for number in (1, 2, 3)] == [b"old\n", b"old\n", b"new\n"]


def test_a_truncated_output_is_that_of_the_latest_attempt(folder: Folder) -> None:
    (folder.path / "stdout").write_bytes(b"anew")
    assert [folder.read(number).data for number in (1, 4)] == [b"anew", b"anew"]
    (folder.path / "stdout").write_bytes(b"")
    assert [folder.read(number).data for number in (1, 4)] == [b"", b""]


@pytest.mark.parametrize(
    "text", [b"", b"\0\xff\n", b"1 2\n", b"9 9 9 9\n", b"1 99999999999999999999 0\n", b"x" * 100_000]
)
def test_what_a_job_writes_there_harms_nothing(folder: Folder, text: bytes) -> None:
    (folder.path / NAME).write_bytes(text)
    assert folder.read(1).data == b"first\nfourth\nand more\n"


def test_a_note_is_no_pipe_and_no_link(folder: Folder, tmp_path: Path) -> None:
    (folder.path / NAME).unlink()
    os.mkfifo(folder.path / NAME)
    note_attempt(folder.path, 1)
    assert folder.read(1).data
    (folder.path / NAME).unlink()
    (folder.path / NAME).symlink_to(tmp_path / "elsewhere")
    note_attempt(folder.path, 1)
    assert not (tmp_path / "elsewhere").exists()
