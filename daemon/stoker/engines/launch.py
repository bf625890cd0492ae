"""What every engine makes of a driver or an executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Launch(NamedTuple):
    argv: list[str]
    env: dict[str, str]


def fill(text: str, substitutions: Mapping[str, str]) -> str:
    """``{{NAME}}`` replaced by the value of each NAME (spec 4)."""
    if "{{" in text:
        for name, value in substitutions.items():
            text = text.replace("{{" + name + "}}", value)
    return text
