"""What a keeper's journal proves to the next keeper, whatever happened to the file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from stoker.worker.keeper import journal as module
from stoker.worker.keeper.journal import SYNC_AFTER, TRY_AGAIN, Journal, JournalFile


def begun(path: Path, boot: str = "boot") -> Journal:
    found = Journal(JournalFile(str(path)), boot)
    found.begin(0.0)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def filled(path: Path) -> Journal:
    """``a`` has ended, ``b`` runs, ``c`` could not be started, ``d`` has ended and is booked."""
    journal = begun(path)
    journal.hello("worker-1")
    for pid, key in enumerate("abcd", 11):
        journal.intent(key, f"note-{key}", 1.5)
        if key != "c":
            journal.started(key, pid, 7, 0.0)
    journal.forgotten("c")
    journal.ended("d", {"code": 1}, 0.0)
    journal.forgotten("d")
    journal.ended("a", {"signal": 9, "oom": True}, 0.0)
    return journal


def test_the_next_keeper_knows_what_ended_and_what_may_have_run(path: Path) -> None:
    filled(path)
    for _ in range(3):  # and so do those after it
        found = begun(path)
        note = found.notes["a"]
        assert (note.note, note.started, note.pid, note.exit) == ("note-a", 1.5, 11, {"signal": 9, "oom": True})
        assert (set(found.notes), found.lost, found.served) == ({"a", "b"}, ["b"], ["worker-1"])
    found.forgotten("a")
    found.forgotten("b")
    found.close()
    assert path.read_text() == "b boot\n@ worker-1\n"


def test_after_a_power_cut_ends_are_known_and_a_missing_start_proves_nothing(path: Path) -> None:
    filled(path)
    found = begun(path, "the next boot")
    assert (set(found.notes), found.served, found.is_of_another_boot) == ({"a", "b"}, [], True)


def test_a_journal_of_0_1_0_proves_nothing(path: Path) -> None:
    path.write_text("+ driver-1:1 12 345\n- driver-1:1\n")
    found = begun(path)
    assert (found.notes, found.served, found.is_of_another_boot) == ({}, [], False)


def test_a_torn_last_line_was_never_acted_upon(path: Path) -> None:
    filled(path)
    with path.open("a") as file:
        file.write("? e 1.5 no")
    found = begun(path)
    assert (set(found.notes), found.served) == ({"a", "b"}, ["worker-1"])


@pytest.mark.parametrize("line", ["? e", "= a x {}", "= a 11 {}", "= a 11 [1]", "\0\0\0", "+ a x y", "hello"])
def test_a_damaged_line_proves_nothing_and_spoils_no_other(path: Path, line: str) -> None:
    filled(path)
    path.write_text(f'{path.read_text()}{line}\n= b 12 {{"code":0}}\n')
    found = begun(path)
    assert found.served == []
    assert (found.notes["a"].exit, found.notes["b"].exit) == ({"signal": 9, "oom": True}, {"code": 0})


def test_what_comes_together_is_synced_once_and_booked_ends_never(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    journal = filled(path)
    journal.ended("b", {"code": 0}, 0.01)
    journal.look(SYNC_AFTER / 2)
    assert synced == []
    journal.look(SYNC_AFTER)
    assert len(synced) == 1 and journal.due == float("inf")
    journal.intent("e", "note", 1.5)
    journal.started("e", 15, 7, 1.0)
    journal.ended("e", {"code": 0}, 1.0)
    journal.forgotten("e")
    journal.look(9.0)
    assert len(synced) == 1


def test_a_full_disk_refuses_starts_and_keeps_ends_for_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = filled(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            journal.intent("e", "note", 1.5)
        journal.ended("b", {"code": 0}, 1.0)
        journal.look(1.0 + TRY_AGAIN)
        assert begun(path).lost == ["b"]
    journal.look(9.0)
    assert begun(path).notes["b"].exit == {"code": 0}
    assert "e" not in begun(path).notes


def test_the_file_stays_small(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 2000)
    journal = filled(path)
    for number in range(500):
        key = f"x{number}"
        journal.intent(key, "note", 1.5)
        journal.started(key, 99, 7, 0.0)
        journal.ended(key, {"code": 0}, 0.0)
        journal.forgotten(key)
        journal.look(0.0)
    assert os.stat(path).st_size < 2500
    journal.close()
    assert set(begun(path).notes) == {"a", "b"}


def test_a_rewritten_journal_has_the_processes_that_run(path: Path) -> None:
    filled(path).close()
    assert [line for line in path.read_text().splitlines() if line.startswith("+ ")] == ["+ b 12 7"]


def test_half_a_line_does_not_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = JournalFile(str(path))
    file.append(b"first\n")
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))
    with pytest.raises(OSError, match="No space left"):
        file.append(b"second\n")
    assert path.read_bytes() == b"first\n"
