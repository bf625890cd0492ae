"""Processes, as the kernel knows them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO


def alive(pid: int) -> bool:
    """Return whether that process runs. A zombie does not count: its parent may never wait for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def lines_of(process: subprocess.Popen[str]) -> IO[str]:
    """Return the standard output of a process that was started with a pipe."""
    assert process.stdout is not None
    return process.stdout


def read_line(process: subprocess.Popen[str]) -> str:
    """Wait for its next line of output, and return it without the end of line."""
    return lines_of(process).readline().strip()
