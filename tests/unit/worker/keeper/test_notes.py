"""The jobs that a restarted worker daemon adopts from its keeper."""

from __future__ import annotations

import errno

import pytest

from stoker.core.model.states import JobPhase
from stoker.core.model.values import Artifact, DriverDescription, Exit
from stoker.core.worker.jobs import DriverJob
from stoker.worker.keeper import messages, notes

DRIVER = DriverDescription(kind="program", main="t", artifacts=(Artifact(name="t", url="local:/t"),))
JOB = DriverJob(key="driver-20260101000000-0001/2", cores=3, memory_mib=4, driver_id="driver-20260101000000-0001",
                attempt=2, driver=DRIVER)  # fmt: skip


def kept(exit: messages.ProcessExit | None, note: str = "") -> messages.Kept:
    return {"key": JOB.key, "pid": 7, "note": note or notes.encode(JOB), "started": 1.5, "exit": exit}


def test_a_job_that_runs_is_found_again() -> None:
    found = notes.decode(kept(None))
    assert isinstance(found, DriverJob)
    assert (found.driver, found.attempt, found.pid, found.started) == (DRIVER, 2, 7, 1.5)
    assert found.phase is JobPhase.RUNNING


@pytest.mark.parametrize(("exit", "status"), [({"code": 3}, (3, None)), ({"signal": 9}, (None, 9))])
def test_a_job_that_ended_meanwhile_has_its_exit(
    exit: messages.ProcessExit, status: tuple[int | None, int | None]
) -> None:
    found = notes.decode(kept(exit))
    assert found is not None and found.phase is JobPhase.ENDED
    assert found.exit is not None and (found.exit.code, found.exit.signal) == status


@pytest.mark.parametrize("note", ["?", "ZA==", "eA==", "####"])
def test_a_note_of_another_version_is_no_job(note: str) -> None:
    assert notes.decode(kept(None, note)) is None


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOENT, 127), (errno.EACCES, 126), (errno.ENOEXEC, 126), (errno.E2BIG, None)]
)
def test_a_program_that_cannot_be_started_has_the_status_of_a_shell(number: int, code: int | None) -> None:
    assert notes.start_failure({"op": "failed", "key": "k", "errno": number, "reason": "x"}).code == code


def test_the_reason_names_the_signal_and_the_oom_killer() -> None:
    assert notes.exit_of({"signal": 15}) == Exit(signal=15, reason="Command was ended by signal SIGTERM")
    assert notes.exit_of({"signal": 99}).reason.endswith("signal 99")
    assert notes.exit_of({"signal": 9, "oom": True}).reason == notes.OUT_OF_MEMORY


def test_an_end_for_lack_of_memory_says_how_much_it_used_of_how_much() -> None:
    end = notes.exit_of({"signal": 9, "oom": True, "peak_mib": 1025, "cpu_seconds": 0.5, "limit_mib": 1024})
    assert end == Exit(
        signal=9, oom=True, reason="out of memory: used 1024 of 1024 MiB", peak_mib=1025, cpu_seconds=0.5
    )


def test_what_a_job_used_is_part_of_every_end() -> None:
    end = notes.exit_of({"code": 0, "peak_mib": 12, "cpu_seconds": 1.5})
    assert (end.is_success, end.used) == (True, "12 MiB, 1.5 s CPU")
    assert notes.exit_of({"code": 0}).used == ""
