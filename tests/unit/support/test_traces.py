"""The traces, the textbook schedulers and the replay: known figures, and schedules that can be computed by hand."""

from __future__ import annotations

import pytest

from stoker.core.model.pools import Pools
from tests.support import oracle
from tests.support.replay import Replay
from tests.support.traces import LUBLIN, NASA, TracedJob, figures, read, waits_by_width


def job(submitted: float, seconds: float, cores: int, user: str = "ada") -> TracedJob:
    return TracedJob(submitted, seconds, cores, user, limit=seconds)


# A job of 1 core runs until 100; the second needs both cores; the third would fit beside the first.
BLOCKED = [job(0, 100, 1), job(1, 50, 2), job(2, 200, 1), job(3, 90, 1)]


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("fifo", [0.0, 100.0, 150.0, 150.0]),
        ("first fit", [0.0, 202.0, 2.0, 100.0]),
        ("easy", [0.0, 100.0, 150.0, 3.0]),
    ],
)
def test_textbook_schedules(algorithm: oracle.Algorithm, expected: list[float]) -> None:
    assert oracle.starts(BLOCKED, 2, algorithm) == expected


def test_a_job_wider_than_the_machine() -> None:
    with pytest.raises(ValueError, match="wider than 2"):
        oracle.starts([job(0, 1, 3)], 2, "easy")


def test_figures_of_strict_fifo_are_the_known_ones() -> None:
    jobs = read(LUBLIN)
    found = figures(jobs, oracle.starts(jobs, 256, "fifo"), 256)
    assert (round(found.mean), found.largest, round(found.slowdown)) == (2_388_444, 4_759_976.0, 66_502)
    jobs = read(NASA)
    found = figures(jobs, oracle.starts(jobs, 128, "fifo"), 128)
    assert (round(found.mean), int(found.largest), round(found.slowdown)) == (620_351, 1_239_454, 14_293)
    assert (round(found.utilisation, 3), round(found.jain, 2)) == (0.801, 0.52)


def test_loose_limits_are_never_below_the_run_time() -> None:
    jobs = read(NASA, limits="loose", most=500)
    assert all(job.seconds <= job.limit <= 10 * job.seconds for job in jobs)


def test_waits_by_width() -> None:
    jobs = [job(0, 1, 1), job(0, 1, 3), job(0, 1, 4)]
    assert waits_by_width(jobs, [1.0, 2.0, 4.0]) == {1: 1.0, 4: 4.0}


def test_in_the_core_an_application_holds_what_it_has_while_it_waits() -> None:
    wide = [job(0, 100, 16), job(1, 50, 32), job(2, 10, 4)]
    assert Replay(wide, workers=2, pools=Pools()).run() == [0.0, 110.0, 100.0]
