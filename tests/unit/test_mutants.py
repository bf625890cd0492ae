"""The table of planted bugs fits the code: ``make mutants`` itself takes too long to be part of the suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.plant import Mutant, copy_tree, is_found
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_can_be_planted(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert all((ROOT / test.partition("::")[0]).exists() for test in mutant.tests)


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_bug_is_found_and_a_change_without_effect_is_not(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    tests = ("tests/unit/worker/jobs/test_cleanup.py",)
    file = "daemon/stoker/worker/jobs/cleanup.py"
    assert is_found(Mutant("bug", file, "limit = time.time() - ttl", "limit = time.time() + ttl", tests), tmp_path)
    assert not is_found(Mutant("no bug", file, "removed = []", "removed = list()", tests), tmp_path)
    assert (tmp_path / file).read_text() == (ROOT / file).read_text()
