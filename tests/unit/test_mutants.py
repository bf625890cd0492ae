"""The table of planted bugs fits the code, and verdicts are right. ``make mutants`` itself takes too long to be a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.plant import Field, Mutant, Result, Verdict
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]
FILE = "daemon/stoker/worker/jobs/cleanup.py"
TESTS = ("tests/unit/worker/jobs/test_cleanup.py",)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_can_be_planted(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert all((ROOT / test.partition("::")[0]).exists() for test in mutant.tests)


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("field")


@pytest.fixture(scope="module")
def field(folder: Path) -> Iterator[Field]:
    field = Field(folder)
    yield field
    assert (folder / "tree" / FILE).read_text() == (ROOT / FILE).read_text(), "a bug was left in the copy"


def test_a_bug_is_found_and_a_change_without_effect_is_not(field: Field) -> None:
    found = field.judge(
        Mutant(
            "bug", FILE, "old = time.time() - self._config.max_age", "old = time.time() + self._config.max_age", TESTS
        )
    )
    assert found.verdict is Verdict.FOUND
    assert found.detail.startswith(TESTS[0])
    assert field.judge(Mutant("no bug", FILE, "done = 0", "done = int()", TESTS)).verdict is Verdict.SURVIVES


IN_TEST = "def test_it(): import stoker.worker.jobs.cleanup"


@pytest.mark.parametrize(
    ("bug", "test"), [("raise ImportError", IN_TEST), ("import os; os.abort()", IN_TEST)], ids=["failure", "crash"]
)
def test_a_failure_and_a_crash_find_a_bug(field: Field, folder: Path, bug: str, test: str) -> None:
    assert judge(field, folder, bug, test).verdict is Verdict.FOUND


@pytest.mark.parametrize(
    ("reason", "test"),
    [
        ("not collected", "import stoker.worker.jobs.cleanup\ndef test_it(): pass"),
        ("skipped: ", "import pytest\n@pytest.mark.skip\ndef test_it(): pass"),
        ("skipped: ", "import pytest\npytest.skip('no', allow_module_level=True)"),
        ("pytest ended with 5", "def other(): pass"),
        ("fails without the bug", "def test_it(): raise AssertionError"),
        ("pytest ended with -9", "import os\ndef test_it(): os.kill(os.getpid(), 9)"),
    ],
)
def test_tests_that_did_not_run_give_no_verdict(field: Field, folder: Path, reason: str, test: str) -> None:
    result = judge(field, folder, "raise ImportError", test)
    assert result.verdict is Verdict.NONE, result
    assert reason in result.detail


def test_slow_tests_give_no_verdict(field: Field) -> None:
    result = field.judge(Mutant("bug", FILE, "done = 0", "done = int()", TESTS), timeout=0.1)
    assert result == Result(Verdict.NONE, "the tests took longer than 0 s")


def judge(field: Field, folder: Path, bug: str, test: str) -> Result:
    """The verdict about ``bug``, at the head of FILE, of a file with ``test``."""
    name = f"test_{len(list(folder.glob('tree/test_*')))}.py"
    (folder / "tree" / name).write_text(test)
    return field.judge(Mutant("bug", FILE, "import time", f"{bug}\nimport time", (name,)))
