"""The indices of arrays, as they are typed."""

from __future__ import annotations

import random

import pytest

from stoker.core.model.arrays.ids import task_variables, tasks_id
from stoker.core.model.arrays.indices import parse_array


@pytest.mark.parametrize(
    ("text", "indices", "limit"),
    [
        ("0", [0], 0),
        ("1-5", [1, 2, 3, 4, 5], 0),
        ("0-9:4%2", [0, 4, 8], 2),
        ("7-9,1,3%1", [1, 3, 7, 8, 9], 1),
        ("2147483647", [2147483647], 0),
    ],
)
def test_indices(text: str, indices: list[int], limit: int) -> None:
    array = parse_array(text)
    assert [array.at(position) for position in range(len(array))] == indices
    assert [array.position(index) for index in indices] == list(range(len(indices)))
    assert array.limit == limit
    assert (array.first, array.last) == (indices[0], indices[-1])


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("", "an index or a range is missing"),
        ("%5", "an index or a range is missing"),
        ("1,,2", "an index or a range is missing"),
        ("9-3", "runs backwards: write 3-9"),
        ("1-9%0", "at least 1"),
        ("1-9%", "at least 1"),
        ("1-9%x", "at least 1"),
        ("1-9:0", "a step must be at least 1"),
        ("1-5,3-9", "1-5 and 3-9 overlap"),
        ("1-9:2,2-10:2", "overlap"),
        ("4,4", "4 and 4 overlap"),
        ("1-1000000000", "the most is 1000000: submit it in parts"),
        ("2147483648", "the highest index is 2147483647"),
        ("-1", "is not an index or a range"),
        ("1-", "is not an index or a range"),
        ("a-b", "write it like 1-1000"),
        ("\u0661-\u0663", "write it like 1-1000"),
        (",".join(map(str, range(2000))), "the most is 1000"),
    ],
)
def test_bad_input_gets_a_line_that_names_the_fix(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match="--array") as caught:
        parse_array(text)
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parts_are_written_as_they_are_typed() -> None:
    array = parse_array("1-10,20-30:5,40")
    assert array.text() == "1-10,20-30:5,40"
    assert array.text(8, 11) == "9-10,20"
    assert array.text(10, 14) == "20-30:5,40"


def test_positions_of_a_range() -> None:
    draw = random.Random(5)
    array = parse_array("3-9,12-30:4,40,50-60:10")
    known = [array.at(position) for position in range(len(array))]
    for _ in range(300):
        first = draw.randint(0, 65)
        last = first + draw.randint(0, 40)
        found = [array.at(position) for position in array.positions(first, last)]
        assert found == [index for index in known if first <= index <= last]
    assert array.position(13) is None


def test_ids_of_tasks() -> None:
    found = tasks_id("driver-20261128120000-0007_17")
    assert found is not None
    assert (found.array_id, found.first, found.last, found.is_range) == ("driver-20261128120000-0007", 17, 17, False)
    found = tasks_id("driver-20261128120000-0007_3-9")
    assert found is not None
    assert (found.first, found.last, found.is_range) == (3, 9, True)
    assert tasks_id("driver-20261128120000-0007") is None
    assert tasks_id("app-20261128120000-0007_1") is None


def test_variables_of_a_task_are_those_of_slurm() -> None:
    variables = task_variables("driver-20261128120000-0007", parse_array("2-10:4%2"), 6)
    assert variables == {
        "STOKER_ARRAY_INDEX": "6",
        "SLURM_ARRAY_JOB_ID": "driver-20261128120000-0007",
        "SLURM_ARRAY_TASK_ID": "6",
        "SLURM_ARRAY_TASK_COUNT": "3",
        "SLURM_ARRAY_TASK_MIN": "2",
        "SLURM_ARRAY_TASK_MAX": "10",
        "SLURM_ARRAY_TASK_STEP": "4",
    }
