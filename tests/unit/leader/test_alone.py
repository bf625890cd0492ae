"""Epochs of a master without rivals: they grow, whatever happens to the clock, the folder or the neighbours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stoker.errors import StokerError
from stoker.leader.alone import AloneLeadership
from stoker.leader.base import Elected, LeadershipEvent


def test_the_first_epoch_is_the_clock_in_milliseconds(tmp_path: Path) -> None:
    before = int(time.time() * 1000)
    epoch = AloneLeadership(tmp_path / "state" / "master").acquire()
    assert before <= epoch <= int(time.time() * 1000)


def test_every_epoch_is_higher_than_all_before(tmp_path: Path) -> None:
    epochs = [AloneLeadership(tmp_path).acquire() for _ in range(20)]
    assert epochs == sorted(set(epochs))


def test_it_grows_though_the_clock_was_set_back(tmp_path: Path) -> None:
    tomorrow = int(time.time() * 1000) + 86_400_000
    (tmp_path / "epoch").write_text(f"{tomorrow}\n")
    assert AloneLeadership(tmp_path).acquire() == tomorrow + 1
    assert AloneLeadership(tmp_path).acquire() == tomorrow + 2


def test_it_is_on_disk_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    epoch = AloneLeadership(tmp_path).acquire()
    assert (tmp_path / "epoch").read_text() == f"{epoch}\n"
    assert synced == [f".epoch.{os.getpid()}", tmp_path.name], "first the number, then its name"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch", "epoch.lock"]


def test_a_master_killed_while_it_wrote_is_in_nobodys_way(tmp_path: Path) -> None:
    first = AloneLeadership(tmp_path).acquire()
    (tmp_path / ".epoch.17").write_text("17")
    assert AloneLeadership(tmp_path).acquire() > first


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    AloneLeadership(folder).acquire()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("content", [b"", b"seven\n", b"-3\n", b"\xff\xfe", b"1.5", b"9" * 30, "\u0663".encode()])
def test_what_is_no_epoch_is_not_guessed_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "epoch"
    path.write_bytes(content)
    with pytest.raises(StokerError) as caught:
        AloneLeadership(tmp_path).acquire()
    assert str(path) in str(caught.value) and "remove the file" in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == content, "left for the operator to see"


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StokerError, match="Not a directory"):
        AloneLeadership(tmp_path / "file" / "state").acquire()


def test_masters_that_share_a_folder_never_share_an_epoch(tmp_path: Path) -> None:
    """The file starts in the future, so that the clock cannot keep them apart: only the lock does."""
    (tmp_path / "epoch").write_text(f"{int(time.time() * 1000) + 86_400_000}\n")
    program = (
        "import sys; from pathlib import Path; from stoker.leader.alone import AloneLeadership\n"
        "sys.stdin.read()\n"
        "for _ in range(50): print(AloneLeadership(Path(sys.argv[1])).acquire())"
    )
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    try:
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.close()
            rival.stdin = None
        epochs = [[int(line) for line in rival.communicate(timeout=60)[0].split()] for rival in rivals]
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
    assert [len(own) for own in epochs] == [50, 50, 50]
    assert all(own == sorted(own) for own in epochs)
    assert len({epoch for own in epochs for epoch in own}) == 150


def test_the_election_of_one_is_over_at_once(tmp_path: Path) -> None:
    events: list[LeadershipEvent] = []
    leadership = AloneLeadership(tmp_path)
    leadership.start(events.append)
    assert events == [Elected(int((tmp_path / "epoch").read_text()))]
    leadership.release()
    assert len(events) == 1
