"""Processes, as the kernel knows them."""

from __future__ import annotations

from pathlib import Path


def alive(pid: int) -> bool:
    """Whether that process runs. One that has ended and waits for its parent, which may never ask, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
