"""How a driver or an executor is started: what every engine produces."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Launch(NamedTuple):
    """``files``: name -> text, which argv refers to in the job's folder: what must not be in the table of processes, which
    every user of a machine can read."""

    argv: list[str]
    env: dict[str, str]
    files: Mapping[str, str] = {}

    def write_files(self, folder: Path) -> None:
        """Write the files, readable by this user alone. Raises OSError."""
        for name, text in self.files.items():
            (folder / name).unlink(missing_ok=True)
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)


def fill(text: str, substitutions: Mapping[str, str]) -> str:
    """``{{NAME}}`` replaced by the value of each NAME (spec 4)."""
    if "{{" in text:
        for name, value in substitutions.items():
            text = text.replace("{{" + name + "}}", value)
    return text
