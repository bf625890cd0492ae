"""A worker's own reasons against new jobs."""

from __future__ import annotations

from stoker.core.model.values import Exit, Unfit
from stoker.core.worker.fitness import REFUSALS_IN_A_ROW, Fitness

FULL = Exit(reason="cannot write /work: No space left on device", refused=True)


def test_refusals_in_a_row_until_a_probe_succeeds() -> None:
    changes = []
    fitness: Fitness = Fitness(lambda **_: changes.append(fitness.unfit))
    for _ in range(REFUSALS_IN_A_ROW - 1):
        fitness.could_not_start(FULL, 5.0)
        fitness.could_not_start(Exit(reason="its file is missing"), 5.0)
    assert not fitness.wants_probe
    fitness.works()
    for _ in range(REFUSALS_IN_A_ROW):
        assert not fitness.wants_probe
        fitness.could_not_start(FULL, 5.0)
    assert fitness.wants_probe
    assert "3 jobs in a row: cannot write /work" in fitness.objection
    fitness.could_not_start(FULL, 6.0)
    fitness.works()
    assert fitness.unfit == ()
    assert [len(unfit) for unfit in changes] == [1, 0]


def test_a_measurement_does_not_end_refusals() -> None:
    fitness = Fitness(lambda **_: None)
    disk = Unfit(kind="disk", text="full")
    for _ in range(REFUSALS_IN_A_ROW):
        fitness.could_not_start(FULL, 5.0)
    fitness.measured((disk,))
    assert [one.kind for one in fitness.unfit] == ["disk", "refusals"]
    fitness.measured(())
    assert [one.kind for one in fitness.unfit] == ["refusals"]
