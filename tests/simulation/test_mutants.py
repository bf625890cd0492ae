"""The simulator finds each planted bug, with the checker that docs/simulation.md names."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, Mutation
from tests.simulation.mutants.hunt import MOST_SEEDS, hunt, named_checkers


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutation", MUTANTS, ids=lambda mutation: mutation.__name__)
def test_planted_bug_is_found(mutation: Mutation) -> None:
    found = hunt(mutation)
    assert found is not None, f"{MOST_SEEDS} seeds did not find it"
    assert found.checker in named_checkers()[mutation.__name__], found


def test_documentation_lists_the_mutants() -> None:
    assert set(named_checkers()) == {mutation.__name__ for mutation in MUTANTS}
