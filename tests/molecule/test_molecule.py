"""Every molecule scenario: those of the roles, and that of the cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SCENARIOS = sorted([*REPO.glob("molecule/*/molecule.yml"), *REPO.glob("roles/*/molecule/*/molecule.yml")])
pytestmark = [pytest.mark.ansible, pytest.mark.slow, pytest.mark.timeout(900)]


def name(file: Path) -> str:
    return str(file.parent.relative_to(REPO))


@pytest.mark.parametrize("file", SCENARIOS, ids=name)
def test_scenario(file: Path, tmp_path: Path) -> None:
    env = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path),
    }
    for variable in ("ANSIBLE_CONFIG", "FORCE_COLOR", "PY_COLORS"):
        env.pop(variable, None)
    command = ["molecule", "--base-config", str(REPO / ".config/molecule/config.yml"), "test", "--no-command-borders"]
    command += ["--scenario-name", file.parent.name]
    done = subprocess.run(
        command, cwd=file.parents[2], env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"by hand: cd {file.parents[2]} && molecule converge\n{failure(done.stdout)}"


def failure(output: str) -> str:
    """Return the first failure, without molecule's own output before and after it."""
    start = max(0, output.find("fatal: ["))
    return output[start : start + 10000]
