"""The bytes of an array: runs of equal states, counts, and records, against a plain list of states."""

from __future__ import annotations

import random
from itertools import groupby

from stoker.core.master.arrays.tasks import ACTIVE, CHUNK, HELD, KILLED, WAITING, Tasks
from stoker.core.model.arrays.indices import parse_array
from stoker.core.model.states import DriverState


def drawn(draw: random.Random, size: int) -> Tasks:
    tasks = Tasks(parse_array(f"0-{size - 1}"))
    for _ in range(draw.randint(0, 40)):
        start = draw.randrange(size)
        part = range(start, min(size, start + draw.choice((1, 5, 3 * CHUNK))))
        kind = draw.randrange(4)
        if kind == 0:
            tasks.swap(part, WAITING, HELD)
        elif kind == 1:
            tasks.swap(part, HELD, WAITING)
        elif kind == 2:
            tasks.kill_waiting(part)
        elif tasks.counts[WAITING]:
            position = tasks.start_next()
            if draw.random() < 0.7:
                state = draw.choice((DriverState.FINISHED, DriverState.FAILED, DriverState.ERROR))
                tasks.ended(position, state, draw.choice((None, 0, 3, 300, -1)), f"w{draw.randrange(3)}")
    return tasks


def test_runs_counts_and_records_say_the_same() -> None:
    draw = random.Random(7)
    for _ in range(60):
        tasks = drawn(draw, draw.choice((1, 7, CHUNK, 2 * CHUNK + 5)))
        states = list(tasks.states)
        assert tasks.counts == [states.count(state) for state in range(7)]
        part = range(draw.randrange(len(states)), len(states))
        runs = list(tasks.runs(part))
        expected = [(state, len(list(group))) for state, group in groupby(states[part.start : part.stop])]
        assert [(state, stop - start) for start, stop, state in runs] == expected
        assert tasks.counted(part) == [states[part.start :].count(state) for state in range(7)]
        chunks = -(-len(states) // CHUNK)
        read = Tasks(tasks.indices)
        read.load(chunks, [tasks.chunk("driver-1", number) for number in range(chunks)])
        assert (read.states, read.statuses, read.counts) == (tasks.states, tasks.statuses, tasks.counts)
        assert [read.worker_of(at) for at in range(len(states))] == [tasks.worker_of(at) for at in range(len(states))]
        everything = range(len(states))
        assert read.status(everything) == tasks.status(everything)


def test_tasks_of_a_missing_chunk_may_have_run() -> None:
    tasks = Tasks(parse_array(f"1-{2 * CHUNK}"))
    tasks.kill_waiting(range(CHUNK, CHUNK + 2))
    read = Tasks(tasks.indices)
    read.load(2, [tasks.chunk("driver-1", 1)])
    assert (read.counts[ACTIVE], read.counts[KILLED], read.counts[WAITING]) == (CHUNK, 2, CHUNK - 2)


def test_a_million_tasks_are_cheap_to_look_at() -> None:
    tasks = Tasks(parse_array("0-999999"))
    assert list(tasks.runs(range(len(tasks)))) == [(0, 1_000_000, WAITING)]
    assert tasks.chunk("driver-1", 0).states == b""
