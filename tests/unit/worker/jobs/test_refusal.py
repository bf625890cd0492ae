"""Whose fault a failure is: a job that a worker refuses is placed elsewhere, a job that fails has failed."""

from __future__ import annotations

import errno
import os

import pytest

from stoker.worker.jobs.refusal import folder_failure, is_full, keeper_refusal
from stoker.worker.keeper.messages import NotStarted

DISK = ["ENOSPC", "EDQUOT", "EROFS"]
MACHINE = ["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"]
FOLDER = ["EACCES", "EPERM", "ENOENT", "ENOTDIR", "EIO", "ESTALE", "ENODEV"]


def failed(name: str, stage: str) -> NotStarted:
    number = getattr(errno, name)
    return {"op": "failed", "key": "k", "errno": number, "reason": os.strerror(number), "stage": stage}


@pytest.mark.parametrize("name", [*DISK, *MACHINE])
def test_a_full_worker_refuses(name: str) -> None:
    error = OSError(getattr(errno, name), "x", "/srv/a")
    assert is_full(error)
    assert folder_failure(error).refused and "/srv/a" in folder_failure(error).reason
    refusal = keeper_refusal(failed(name, "output"))
    assert refusal is not None and refusal.refused


@pytest.mark.parametrize("name", FOLDER)
def test_the_worker_s_own_folder_is_its_fault_and_a_file_to_copy_is_the_job_s(name: str) -> None:
    error = OSError(getattr(errno, name), "x")
    assert not is_full(error)
    assert folder_failure(error).refused
    refusal = keeper_refusal(failed(name, "output"))
    assert refusal is not None and refusal.refused


@pytest.mark.parametrize("name", [*MACHINE, "EBUSY"])
def test_a_machine_that_starts_no_process_refuses(name: str) -> None:
    refusal = keeper_refusal(failed(name, "process"))
    assert refusal is not None and refusal.refused


@pytest.mark.parametrize("name", ["ENOENT", "EINVAL", "EBUSY", "EACCES"])
def test_a_job_that_cannot_be_limited_is_refused(name: str) -> None:
    refusal = keeper_refusal(failed(name, "limits"))
    assert refusal is not None and refusal.refused and "limit" in refusal.reason


@pytest.mark.parametrize("name", ["ENOENT", "EACCES", "ENOEXEC", "E2BIG"])
def test_a_program_that_cannot_be_started_is_the_job_s_fault(name: str) -> None:
    assert keeper_refusal(failed(name, "process")) is None
