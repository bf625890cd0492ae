"""A job in the keeper's books. Standard library only, as all the keeper imports."""

from __future__ import annotations

import os
import signal

from stoker.worker.groups.account import JobAccount
from stoker.worker.groups.group import JobGroup
from stoker.worker.keeper.messages import Kept, Kind, ProcessExit

KILLED_STATUS = 128 + signal.SIGKILL  # how a shell reports a command that KILL ended


def exit_of(status: int) -> tuple[ProcessExit, bool]:
    """Return how a process ended, from its wait status, and whether KILL may have ended it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return {"signal": number}, number == signal.SIGKILL
    code = os.WEXITSTATUS(status)
    return {"code": code}, code == KILLED_STATUS


class KeptJob:
    """One main process and everything that descends from it."""

    def __init__(self, key: str, pid: int, note: str, *, kind: Kind, started: float, start_time: int) -> None:
        self.key = key
        self.pid = pid  # also its session and process group
        self.note = note
        self.kind = kind
        self.started = started  # seconds since the Unix epoch
        self.start_time = start_time  # clock ticks since boot
        self.known: dict[int, int] = {}  # descendants when it was stopped: pid -> start time
        self.exit: ProcessExit | None = None  # of the main process
        self.kill_at: float | None = None  # monotonic; TERM was sent
        self.limit_at = float("inf")  # monotonic; when it reaches its time limit
        self.is_expired = False  # it was stopped for that
        self.is_clean = False  # the main process has ended, and nothing of the job is left
        self.forgotten = False
        self.account: JobAccount | None = None  # None: it is not measured
        self.runs_as = ""  # its account on this machine; "": the keeper's, because the daemon asked for no other

    @property
    def group(self) -> JobGroup | None:
        """Its control group, which has all of its processes; None without one."""
        return self.account.group if self.account is not None else None

    @property
    def stop_at(self) -> float:
        """When its time limit stops it (monotonic). Never, if it has ended or is being stopped."""
        return self.limit_at if self.exit is None and self.kill_at is None else float("inf")

    def describe(self) -> Kept:
        exit = self.exit if self.is_clean else None
        kept: Kept = {
            "key": self.key,
            "pid": self.pid,
            "note": self.note,
            "started": self.started,
            "exit": exit,
            "kind": self.kind,
        }
        if self.runs_as:
            kept["account"] = self.runs_as
        return kept
