"""``submit --wait`` exits as the program did."""

from __future__ import annotations

import pytest

from stoker.client.commands.wait import exit_code
from stoker.core.model.states import DriverState
from stoker.core.model.values import Exit
from stoker.core.model.views import AttemptView, DriverView


@pytest.mark.parametrize(
    ("state", "exits", "code"),
    [
        (DriverState.FINISHED, [Exit(code=0)], 0),
        (DriverState.FAILED, [Exit(code=7)], 7),
        (DriverState.FAILED, [Exit(code=7), Exit(code=3)], 3),  # the last attempt's counts
        (DriverState.FINISHED, [Exit(code=7), Exit(code=0)], 0),
        (DriverState.FAILED, [Exit(signal=9)], 137),
        (DriverState.KILLED, [Exit(signal=15)], 143),
        (DriverState.KILLED, [Exit(code=0)], 1),  # it was killed before it could have succeeded
        (DriverState.KILLED, [], 1),  # it never ran
        (DriverState.ERROR, [Exit(reason="it cannot be started")], 1),
    ],
)
def test_the_exit_code_is_the_programs(state: DriverState, exits: list[Exit], code: int) -> None:
    attempts = tuple(
        AttemptView(number=number, worker_id="w", state=state, started=0.0, exit=exit)
        for number, exit in enumerate(exits, 1)
    )
    view = DriverView(
        id="d", name="d", state=state, submitted=0.0, cores=1, memory_mib=1, main="main", attempts=attempts
    )
    assert exit_code(view) == code
