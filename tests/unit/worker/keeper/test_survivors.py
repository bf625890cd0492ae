"""The processes that a killed keeper's journal names are stopped, unless another process has the pid by now."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.worker.keeper.processes import end_survivors, start_time


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "600"], start_new_session=True) as made:
        yield made
        made.kill()


def test_a_process_that_the_journal_names_is_ended(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    journal = tmp_path / "journal"
    journal.write_text(f"+ a {process.pid} {start_time(process.pid)}\n")
    end_survivors(str(journal), 10.0)
    assert process.wait(10) == -15


def test_a_later_process_of_the_same_pid_is_left_alone(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    journal = tmp_path / "journal"
    journal.write_text(f"+ a {process.pid} {start_time(process.pid) - 1}\n")
    end_survivors(str(journal), 0.0)
    assert process.poll() is None


def test_lines_that_were_torn_are_skipped(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    journal = tmp_path / "journal"
    journal.write_text(f"+ a\n- \n\n+ b {process.pid} {start_time(process.pid)}\n+ c {process.pid}")
    end_survivors(str(journal), 10.0)
    assert process.wait(10) == -15
