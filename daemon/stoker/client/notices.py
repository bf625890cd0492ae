"""What stoker itself has to say while a program's output has the stage."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Print a line of stoker's own on stderr, so that stdout belongs to the program or to a script."""
    print(f"stoker: {line}", file=sys.stderr, flush=True)
