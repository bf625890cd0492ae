"""What has become of an array, or of a part of it, in counts and in one state."""

from __future__ import annotations

from stoker.core.master.arrays.tasks import ACTIVE, HELD, STATE_OF, WAITING, Tasks
from stoker.core.model.states import DriverState
from stoker.core.model.views import ArrayView


def counts_of(tasks: Tasks, positions: range) -> ArrayView:
    """Return the counts of the tasks at these positions."""
    waiting, held, active, finished, failed, killed, error = tasks.counted(positions)
    return ArrayView(
        indices=tasks.indices.text(positions.start, positions.stop),
        limit=tasks.indices.limit,
        tasks=len(positions),
        waiting=waiting,
        held=held,
        running=active,
        finished=finished,
        failed=failed,
        killed=killed,
        error=error,
        status=tasks.status(positions),
    )


def state_of(tasks: Tasks, positions: range) -> DriverState:
    """Return the state of the tasks at these positions together, as that of a driver."""
    counts = tasks.counted(positions)
    if counts[ACTIVE]:
        return DriverState.RUNNING
    if counts[WAITING] or counts[HELD]:
        return DriverState.SUBMITTED
    ends = [STATE_OF[state] for state, count in enumerate(counts) if count]
    return ends[0] if len(ends) == 1 else DriverState.FAILED
