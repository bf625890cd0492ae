"""Processes, as the kernel knows them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO


def alive(pid: int) -> bool:
    """Whether that process runs. One that has ended and waits for its parent, which may never ask, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def lines_of(process: subprocess.Popen[str]) -> IO[str]:
    """The standard output of a process that was started with a pipe."""
    assert process.stdout is not None
    return process.stdout


def read_line(process: subprocess.Popen[str]) -> str:
    """Its next line of output, without the end of line; waits for it."""
    return lines_of(process).readline().strip()
