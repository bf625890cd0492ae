"""Stoker's own lines to the user, beside the output of programs."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from datetime import datetime, timezone

from stoker.errors import StokerError, one_line

_UTC = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d UTC\b")


def local_times(line: str) -> str:
    """Return the line with the times that the cluster writes in UTC as they are here: hours and minutes, on another day with
    the date."""
    return _UTC.sub(lambda match: _local(match[0]), line)


def _local(text: str) -> str:
    try:
        when = datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=timezone.utc).astimezone()
    except (ValueError, OverflowError):
        return text
    return when.strftime("%H:%M" if when.date() == datetime.now().date() else "%Y-%m-%d %H:%M")


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
