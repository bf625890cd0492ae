"""The tables of ``core.model.lifecycles``: every pair of state and event is legal and leads where it says, or is illegal,
raises with the story, and changes nothing. And nothing in the cores assigns a state in another way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import stoker
from stoker.core.model import lifecycles
from stoker.core.model.lifecycles import ATTEMPT, DRIVER, EXECUTOR, JOB, DriverEvent, ExecutorEvent
from stoker.core.model.moves import MOVES_TOLD, IllegalMove, Lifecycle, Recent, may, move
from stoker.core.model.records import AppRecord, Attempt, DriverRecord, ExecutorRecord, WorkerRecord
from stoker.core.model.states import ExecutorState
from stoker.core.model.values import ApplicationDescription, Artifact, Command, DriverDescription
from stoker.errors import InvariantBroken, StokerError

ROOT = Path(__file__).parents[4]
CORES = Path(stoker.__file__).parent / "core"
LIFECYCLES = [value for value in vars(lifecycles).values() if isinstance(value, Lifecycle)]
LIFECYCLES.remove(lifecycles.LATE_END)  # no life: one step, from a final state
LIFECYCLES.remove(lifecycles.ARRAY)  # one step, to a final state


# States that only others of the name have, see the comments in the tables.
NEVER = {"executor": {"DECOMMISSIONED"}, "master": {"STANDBY"}, "attempt": {"SUBMITTED", "RELAUNCHING", "UNKNOWN"}}


@dataclass
class Thing:
    """The bare machine: a record that has only a state."""

    state: Any
    id: str = "thing-1"

    @property
    def phase(self) -> Any:
        return self.state

    @phase.setter
    def phase(self, value: Any) -> None:
        self.state = value


def states_of(lifecycle: Lifecycle[Any, Any]) -> list[Any]:
    kind: Any = type(lifecycle.initial)
    return list(kind)


def pairs() -> list[Any]:
    found = []
    for lifecycle in LIFECYCLES:
        for state in states_of(lifecycle):
            for event in lifecycle.events:
                found.append(pytest.param(lifecycle, state, event, id=f"{lifecycle.kind}-{state.name}-{event.name}"))
    return found


def test_there_are_the_lifecycles_that_the_documentation_names() -> None:
    kinds = {lifecycle.kind for lifecycle in LIFECYCLES}
    assert kinds == {"driver", "attempt", "executor", "application", "worker", "master", "job", "registration"}


@pytest.mark.parametrize(("lifecycle", "state", "event"), pairs())
def test_every_pair_leads_somewhere_or_raises_and_changes_nothing(
    lifecycle: Lifecycle[Any, Any], state: Enum, event: Enum
) -> None:
    thing, recent = Thing(state), Recent()
    expected = lifecycle.table.get(state, {}).get(event)
    if expected is not None:
        assert may(lifecycle, thing, event)
        move(lifecycle, thing, event, recent)
        assert thing.state is expected
        assert [(told.before, told.event, told.after) for told in recent.of("thing-1")] == [(state, event, expected)]
        return
    assert not may(lifecycle, thing, event)
    with pytest.raises(IllegalMove) as raised:
        move(lifecycle, thing, event, recent)
    assert thing == Thing(state), "it changed something"
    assert recent.of("thing-1") == []
    text = str(raised.value)
    assert state.name in text and event.name in text and "thing-1" in text and "\n" not in text


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda lifecycle: lifecycle.kind)
def test_every_state_has_a_row_can_be_reached_and_is_final_where_it_says_so(lifecycle: Lifecycle[Any, Any]) -> None:
    states = set(states_of(lifecycle))
    assert set(lifecycle.table) == states
    reached, waiting = {lifecycle.initial}, [lifecycle.initial]
    while waiting:
        for after in lifecycle.table[waiting.pop()].values():
            if after not in reached:
                reached.add(after)
                waiting.append(after)
    assert {state.name for state in states - reached} == NEVER.get(lifecycle.kind, set())
    for state in states:
        if getattr(state, "is_final", False):
            assert not lifecycle.table[state], f"{state.name} is final and left"


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda lifecycle: lifecycle.kind)
def test_every_event_is_used(lifecycle: Lifecycle[Any, Any]) -> None:
    used = {event for _, event, _ in lifecycle.moves()}
    known: Any = lifecycle.events
    if lifecycle is not ATTEMPT:
        assert used == set(known)


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda lifecycle: lifecycle.kind)
def test_every_state_is_explained(lifecycle: Lifecycle[Any, Any]) -> None:
    assert lifecycles.__doc__ is not None
    if lifecycle.kind not in ("master", "attempt"):
        for state in states_of(lifecycle):
            assert f"\n{state.name} " in lifecycles.__doc__, f"no paragraph about {state.name}"


RUN = DriverDescription(kind="program", main="t", artifacts=(Artifact(name="t", url="local:/bin/true"),))
APP = ApplicationDescription(name="x", command=Command(argv=("a",)))


@pytest.mark.parametrize(
    ("lifecycle", "record"),
    [
        (DRIVER, DriverRecord(id="d", description=RUN, submitted=0.0)),
        (ATTEMPT, Attempt(number=1, worker_id="w", worker_host="h")),
        (EXECUTOR, ExecutorRecord(app_id="a", id=1, worker_id="w", worker_host="h", cores=1, memory_mib=1)),
        (lifecycles.APPLICATION, AppRecord(id="a", description=APP, submitted=0.0)),
        (lifecycles.WORKER, WorkerRecord(id="w", host="h", port=1, cores=1, memory_mib=1)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_new_record_is_in_the_initial_state(lifecycle: Lifecycle[Any, Any], record: Any) -> None:
    assert record.state is lifecycle.initial


def test_the_story_tells_ids_and_the_latest_moves() -> None:
    recent = Recent()
    record = DriverRecord(id="driver-20260101000000-0007", description=RUN, submitted=0.0, reason="exit 3")
    other = ExecutorRecord(app_id="app-1", id=2, worker_id="w", worker_host="h", cores=1, memory_mib=1)
    for event in (DriverEvent.PLACED, DriverEvent.STARTED, DriverEvent.RESTART_LATER, DriverEvent.KILLED):
        move(DRIVER, record, event, recent)
        if not other.state.is_final:
            move(EXECUTOR, other, ExecutorEvent.STARTED, recent)
    with pytest.raises(InvariantBroken) as raised:
        move(DRIVER, record, DriverEvent.PLACED, recent)
    text = str(raised.value)
    assert isinstance(raised.value, StokerError)
    assert "driver-20260101000000-0007" in text and "exit 3" in text and "app-1" not in text
    assert "SUBMITTED -PLACED-> RUNNING; RUNNING -STARTED-> RUNNING" in text
    assert text.index("-RESTART_LATER->") < text.index("RELAUNCHING -KILLED-> KILLED")


def test_the_story_is_bounded() -> None:
    recent, record = (
        Recent(),
        ExecutorRecord(app_id="app-1", id=0, worker_id="w", worker_host="h", cores=1, memory_mib=1),
    )
    for _ in range(10_000):
        move(EXECUTOR, record, ExecutorEvent.STARTED, recent)
    assert len(recent.of(("app-1", 0))) == MOVES_TOLD
    assert record.state is ExecutorState.RUNNING


def assignments(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for part in ast.walk(target) if target is not None else ():
                if (
                    isinstance(part, ast.Attribute)
                    and part.attr in ("state", "phase")
                    and isinstance(part.ctx, ast.Store)
                ):
                    yield part.lineno


def test_nothing_in_the_cores_assigns_a_state() -> None:
    """Three lines start a life: a master's own state, the state of a worker's next record, and an application's phase."""
    found = {
        f"{path.relative_to(CORES)}: {path.read_text().splitlines()[line - 1].strip()}"
        for room in ("model", "master", "worker", "application")
        for path in sorted((CORES / room).rglob("*.py"))
        for line in assignments(ast.parse(path.read_text()))
    }
    assert found == {
        "application/machine.py: self.phase: Phase = REGISTRATION.initial",
        "master/context.py: self.state = MasterState.ALIVE",
        "master/workers.py: record.state = worker.record.state",
    }


def test_the_diagrams_in_the_documentation_are_current() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "scripts" / "diagrams", "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_job_has_ended_once() -> None:
    thing = Thing(JOB.initial)
    move(JOB, thing, lifecycles.JobEvent.ENDED)
    with pytest.raises(IllegalMove):
        move(JOB, thing, lifecycles.JobEvent.ENDED)
