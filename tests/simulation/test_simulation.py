"""The cluster under faults, from seeds (docs/simulation.md). `make simulate SEEDS=100000` runs more of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.run import run

ROOT = Path(__file__).parents[2]
SEEDS = 1000


def simulate(*arguments: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_seed_finds_a_violation() -> None:
    done = simulate("--seeds", str(SEEDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} seeds, 0 failed" in done.stdout


def test_run_is_replayed_exactly_from_its_seed() -> None:
    """Also with another hash seed of Python: nothing may depend on the order of a set."""
    stories = [simulate("--seed", "12", "--trace", hash_seed=seed).stdout for seed in ("0", "1")]
    assert stories[0] == stories[1]
    assert len(stories[0].splitlines()) > 100


def test_seeds_differ() -> None:
    assert len({run(seed).lines for seed in range(8)}) > 4


def test_all_kinds_of_faults_at_once_without_a_violation() -> None:
    from tests.simulation.faults import KINDS

    kinds = tuple(KINDS)
    found = [result for seed in range(10) if (result := run(seed, faults=kinds)).checker]
    assert found == []


def test_failure_prints_its_story_and_how_to_see_it_again() -> None:
    """The failure here is a cluster that never settles."""
    program = (
        "import sys; from tests.simulation import run, __main__;"
        "run.unsettled = lambda cluster: ['it never settles'];"
        "sys.argv = ['', '--seed', '3']; sys.exit(__main__.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert (
        "seed 3: liveness: it never settles" in done.stdout
        and "python -m tests.simulation --seed 3 --trace" in done.stdout
    )
    assert len(done.stdout.splitlines()) > 20
