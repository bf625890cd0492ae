"""What stoker itself has to say while a program's output has the stage."""

from __future__ import annotations

import os
import sys

from stoker.errors import StokerError


def say(line: str) -> None:
    """Print a line of stoker's own on stderr, so that stdout belongs to the program or to a script."""
    print(f"stoker: {line}", file=sys.stderr, flush=True)


def deliver(result: str, *, deed: str) -> None:
    """Print the result of a deed that must not be repeated. ``deed`` says what was done, for the case that it cannot be
    printed: a user who tries again would do it twice.

    Raises StokerError with the deed in its text.
    """
    try:
        print(result, flush=True)
    except OSError as error:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # nothing more is to be written there at the exit
        raise StokerError(f"{deed}, but this could not be written to standard output: {error.strerror}") from None
