"""Roles keep their promises: specifications equal to defaults, every variable documented, names prefixed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted((Path(__file__).parents[2] / "roles").iterdir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_argument_specs_equal_defaults(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml")
    options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option.get("default") for name, option in options.items()} == defaults


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_is_prefixed_and_documented(role: Path) -> None:
    readme = (role / "README.md").read_text()
    for name in load(role / "defaults" / "main.yml"):
        assert name.startswith(role.name + "_")
        assert f"`{name}`" in readme


def test_the_lock_file_pins_everything_daemons_need() -> None:
    """``make lock`` after a change of pyproject's dependencies."""
    root = Path(__file__).parents[2]
    locked = {
        line.split("==")[0] for line in (root / "requirements" / "daemon.lock").read_text().splitlines() if "==" in line
    }
    listed = re.search(r"^dependencies = \[(.*?)^\]", (root / "pyproject.toml").read_text(), re.S | re.M)
    assert listed is not None
    wanted = re.findall(
        r'^    "([\w-]+)>=',
        listed[1],
        re.M,
    )
    assert wanted and set(wanted) <= locked
