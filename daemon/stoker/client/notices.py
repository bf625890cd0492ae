"""Stoker's own lines to the user, beside the output of programs."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from stoker.errors import StokerError, one_line


def say(line: str) -> None:
    """Print a line on stderr, because stdout belongs to the program or to a script. A stderr that takes nothing (a full disk,
    a closed pipe) stops no command: what is announced has been done, and a user who tried again would repeat it."""
    with suppress(OSError):
        print(f"stoker: {one_line(line)}", file=sys.stderr, flush=True)


def deliver(result: str, *, deed: str) -> None:
    """Print the result of an action that must not be repeated. ``deed`` describes the action.

    Raises StokerError with ``deed`` in its text when stdout cannot be written: a user who tried again would repeat it.
    """
    try:
        print(result, flush=True)
    except OSError as error:
        # At the exit Python would write there again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StokerError(f"{deed}, but this could not be written to standard output: {error.strerror}") from None
