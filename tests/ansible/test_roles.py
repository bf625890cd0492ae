"""Roles keep their promises: specifications equal to defaults, every variable documented, names prefixed."""

from __future__ import annotations

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
