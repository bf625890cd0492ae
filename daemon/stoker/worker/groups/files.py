"""The files of control groups. Standard library only, as all the keeper imports."""

from __future__ import annotations

import os


def write(path: str, text: str) -> None:
    """Write to a file that exists. Raises OSError, which names it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)


def read(path: str) -> str:
    """Return the file's text; "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""
