"""Standard input, output and error: closed ones are replaced before anything else can take their numbers, and a command
whose output would be lost does not begin."""

from __future__ import annotations

import math
import os
import stat
import sys

from stoker.errors import StokerError

STDOUT = 1


def prepare() -> bool:
    """Open ``/dev/null`` for standard streams that are closed. Return whether standard output was open.

    Without this a socket or a file gets the number of a closed stream, and what is printed ends up in it.
    """
    had_output = _is_open(STDOUT)
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest free number, which is this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - they last as long as the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character gets its number
            stream.reconfigure(errors="backslashreplace")
    return had_output


def check_output(had_output: bool) -> None:
    """Raises StokerError when nothing can be written to standard output, while nothing has been done yet."""
    if not had_output:
        raise StokerError("cannot write the output: standard output is closed; send it to a file, or to /dev/null")
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):  # replaced by a caller
        return
    try:
        os.write(number, b"")
        status = os.fstat(number)
        can_be_full = stat.S_ISREG(status.st_mode) and hasattr(os, "fstatvfs")
        is_full = can_be_full and os.fstatvfs(number).f_bavail == 0
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StokerError(f"cannot write the output: {error.strerror}") from None
    if is_full:
        raise StokerError("cannot write the output: No space left on device")
    if stat.S_ISREG(status.st_mode) and status.st_size >= _largest_file():
        raise StokerError("cannot write the output: the file may not grow: raise the limit of this shell (ulimit -f)")


def _largest_file() -> float:
    """Bytes that a file of this process may have."""
    try:
        import resource  # noqa: PLC0415 - Unix
    except ImportError:
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return math.inf if limit == resource.RLIM_INFINITY else limit


def flush() -> None:
    """Write what is still buffered while a failure can be reported. Raises BrokenPipeError and StokerError."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_output()
        raise StokerError(f"cannot write the output: {error.strerror}") from None


def abandon_output() -> None:
    """Nobody takes our output: keep the interpreter from complaining about it at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
