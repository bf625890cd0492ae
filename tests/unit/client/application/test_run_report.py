"""``stoker run`` exits with the worst status of its executors; those that were replaced do not count."""

from __future__ import annotations

import pytest

from stoker.client.application.run_report import exit_status
from stoker.core.application.events import Executor, Removed
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import Exit

EXITED, FAILED, LOST, KILLED = ExecutorState.EXITED, ExecutorState.FAILED, ExecutorState.LOST, ExecutorState.KILLED


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ([(EXITED, Exit(code=0)), (EXITED, Exit(code=0))], 0),
        ([(EXITED, Exit(code=3)), (EXITED, Exit(code=0))], 3),
        ([(EXITED, Exit(code=3)), (EXITED, Exit(code=9)), (EXITED, Exit(code=4))], 9),
        ([(EXITED, Exit(code=3)), (EXITED, Exit(signal=9))], 137),
        ([(EXITED, Exit(code=256)), (EXITED, Exit(code=0))], 1),  # a status is a byte: this one would read as 0
        ([(EXITED, Exit(code=-1))], 1),
        ([(FAILED, Exit(reason="there is no such program"))], 1),
        ([(LOST, Exit(reason="its worker is gone")), (EXITED, Exit(code=0))], 0),
        ([(KILLED, Exit(signal=15)), (EXITED, Exit(code=0))], 0),
        ([], 1),
    ],
)
def test_the_worst_status_counts(ends: list[tuple[ExecutorState, Exit]], status: int) -> None:
    executors = [Executor(number, "w", "h", 1, 1, state, exit) for number, (state, exit) in enumerate(ends)]
    assert exit_status(Removed(ApplicationState.FINISHED, ""), executors) == status


def test_an_application_that_was_ended_has_not_succeeded() -> None:
    good = [Executor(0, "w", "h", 1, 1, EXITED, Exit(code=0))]
    assert exit_status(Removed(ApplicationState.KILLED, ""), good) == 1
    assert exit_status(Removed(ApplicationState.FAILED, ""), good) == 1


def test_the_exit_code_of_a_killed_application_is_not_its_executors() -> None:
    bad = [Executor(0, "w", "h", 1, 1, EXITED, Exit(code=3))]
    assert exit_status(Removed(ApplicationState.KILLED, ""), bad) == 1
    assert exit_status(Removed(ApplicationState.FAILED, ""), bad) == 3
