"""A job, as its keeper has it. Standard library only, as all the keeper imports."""

from __future__ import annotations

from typing import Any


class KeptJob:
    """One main process and what belongs to it."""

    def __init__(self, key: str, pid: int, note: str, *, started: float, start_time: int) -> None:
        self.key = key
        self.pid = pid  # also its session and process group
        self.note = note
        self.started = started  # seconds since the Unix epoch
        self.start_time = start_time  # clock ticks since boot
        self.known: dict[int, int] = {}  # descendants when it was stopped: pid -> start time
        self.exit: dict[str, int] | None = None
        self.kill_at: float | None = None  # monotonic; TERM was sent
        self.is_clean = False  # ended, and nothing of it is left
        self.forgotten = False

    def describe(self) -> dict[str, Any]:
        return {"key": self.key, "pid": self.pid, "note": self.note, "started": self.started, "exit": self.exit}
