"""The blocks of a page of documentation, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

# The beginnings of lines that a reader types into a shell.
PROGRAMS = re.compile(
    r"(?:stoker|make|export|pip|curl|ansible[\w-]*|python|pytest|cd|molecule|pyspark|spark-\w+|\S*inventory/from-slaves"
    r"|\.venv/bin/\S+)(?: |$)"
)


@dataclass(frozen=True)
class Block:
    """``line`` is the number of the first one in the page."""

    line: int
    kind: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Return each command with its continuation lines; an empty list if the block is not for a shell."""
        found: list[str] = []
        for line in self.text.splitlines():
            if found and _is_open(found[-1]):
                found[-1] += f"\n{line}"
            elif PROGRAMS.match(line):
                found.append(line)
        return found if self.kind in ("", "sh", "bash", "shell", "console") else []

    @property
    def python(self) -> str:
        """Return the Python program in the block, which may follow commands; empty if there is none."""
        lines = self.text.splitlines()
        starts = [number for number, line in enumerate(lines) if re.match(r"import |from \w+", line)]
        return "\n".join(lines[starts[0] :]) + "\n" if starts else ""


def _is_open(command: str) -> bool:
    """Return whether the shell would ask for more."""
    if command.endswith("\\"):
        return True
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def blocks(page: str) -> Iterator[Block]:
    """Return the blocks in order: fenced ones, and those indented by four spaces."""
    lines = page.splitlines()
    number = 0
    while number < len(lines):
        first = number
        if lines[number].startswith("```"):
            number += 1
            while number < len(lines) and not lines[number].startswith("```"):
                number += 1
            yield Block(first + 2, lines[first][3:].strip(), "\n".join(lines[first + 1 : number]))
        elif lines[number].startswith("    ") and (number == 0 or not lines[number - 1].strip()):
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            text = "\n".join(line[4:] for line in lines[first:number]).rstrip()
            yield Block(first + 1, "", text)
            number -= 1
        number += 1
