"""A copy of the tree with one bug planted in it, and the tests run there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 300  # seconds for the tests of one mutant


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old``, found once in ``file``, becomes ``new``; one of ``tests`` (node ids of pytest) has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def copy_tree(target: Path) -> None:
    """The files that git tracks or would add, links as links. Bytecode and build outputs stay behind."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, copy = ROOT / name, target / name
        if source.is_symlink() or source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def check_tests(mutants: Sequence[Mutant], tree: Path) -> None:
    """Raises ValueError when a test fails without a bug: then it would find anything."""
    tests = tuple(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    if not _passes(tests, tree, timeout=TIMEOUT * 4):
        raise ValueError(f"these tests fail without a bug: pytest {' '.join(tests)}")


def is_found(mutant: Mutant, tree: Path) -> bool:
    """Plant the bug in ``tree``, run the tests there, and take the bug out again. Raises ValueError for a change that
    does not apply."""
    path = tree / mutant.file
    good = path.read_text(encoding="utf-8")
    if good.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {mutant.old!r} is {good.count(mutant.old)} times in {mutant.file}")
    path.write_text(good.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return not _passes(mutant.tests, tree)
    finally:
        path.write_text(good, encoding="utf-8")


def _passes(tests: tuple[str, ...], tree: Path, *, timeout: float = TIMEOUT) -> bool:
    environ = {**os.environ, "PYTHONPATH": f"{tree / 'daemon'}:{tree}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environ, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode < 0:  # a signal: the tests did not survive it
        return False
    if done.returncode not in (0, 1):
        raise ValueError(f"the tests {tests} could not be run: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done.returncode == 0
