"""The ids of tasks, what their environment says, and which workers run them."""

from __future__ import annotations

import re
from typing import NamedTuple

from stoker.core.model.arrays.indices import Indices

_TASKS_OF = re.compile(r"(driver-[0-9]{14}-[0-9]{4,12})_([0-9]{1,10})(?:-([0-9]{1,10}))?")
_WITHOUT = "0.1."  # how the releases begin whose workers reject the ids of tasks


class TasksId(NamedTuple):
    """One task of an array, or several: ``ARRAY_17`` or ``ARRAY_3-9``."""

    array_id: str
    first: int
    last: int
    is_range: bool


def tasks_id(identifier: str) -> TasksId | None:
    """Split the id of a task or of a range of tasks; None for another id."""
    found = _TASKS_OF.fullmatch(identifier)
    if found is None:
        return None
    first = int(found[2])
    return TasksId(found[1], first, first if found[3] is None else int(found[3]), found[3] is not None)


def task_id(array_id: str, index: int) -> str:
    return f"{array_id}_{index}"


def task_variables(array_id: str, indices: Indices, index: int) -> dict[str, str]:
    """Return what the environment of a task says; the names of Slurm, so that its scripts run unchanged."""
    return {
        "STOKER_ARRAY_INDEX": str(index),
        "SLURM_ARRAY_JOB_ID": array_id,
        "SLURM_ARRAY_TASK_ID": str(index),
        "SLURM_ARRAY_TASK_COUNT": str(len(indices)),
        "SLURM_ARRAY_TASK_MIN": str(indices.first),
        "SLURM_ARRAY_TASK_MAX": str(indices.last),
        "SLURM_ARRAY_TASK_STEP": str(indices.step),
    }


def runs_tasks(version: str) -> bool:
    """Return whether workers of this release run tasks of arrays."""
    return not version.startswith(_WITHOUT)
