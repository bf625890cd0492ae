"""A window of what a job wrote, as ``/logPage/`` and ``/log`` ask for it (spec 15.4)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple, Protocol

from flask import request
from werkzeug.exceptions import BadRequest, NotFound

from stoker.web.common import whole_number

WINDOW = 100 * 1024  # bytes shown by default, from the end
MAX_WINDOW = 1024 * 1024  # bytes at most


class LogPaths(Protocol):
    def path(self, job_id: str, executor_id: int, stream: str) -> Path | None:
        """Where the output of a driver, or of an application's executor, is. None for names that are not of this
        program's making: so no path is ever made of what a browser says."""
        ...


class Window(NamedTuple):
    """Bytes ``start`` to ``end`` of ``size``; ``query`` names the same output in a link."""

    name: str
    path: str
    start: int
    end: int
    size: int
    text: str
    query: str
    length: int

    @property
    def before(self) -> int:
        """Where the window before this one starts."""
        return max(self.start - self.length, 0)

    @property
    def newest(self) -> int:
        """Where to read on: at the end of this window, or once that is the end of all, the last bytes there are."""
        return self.end if self.end < self.size else max(self.size - self.length, 0)


def read_window(logs: LogPaths) -> Window:
    """The window the request asks for: driverId, or appId and executorId; logType; offset and byteLength in bytes. What
    lies outside of the file is moved into it. Raises BadRequest, NotFound."""
    args = request.args
    driver, app, stream = args.get("driverId", ""), args.get("appId", ""), args.get("logType", "stdout")
    executor = whole_number("executorId", -1) if app else -1
    path = None if driver and app else logs.path(driver or app, executor, stream)
    if path is None:
        raise BadRequest("Name a driverId, or an appId and an executorId, and logType=stdout or stderr.")
    length = min(max(whole_number("byteLength", WINDOW), 0), MAX_WINDOW)
    name, query = (
        (driver, f"driverId={driver}") if driver else (f"{app}/{executor}", f"appId={app}&executorId={executor}")
    )
    descriptor = _open(path, f"{stream} of {name}")
    try:
        size = os.fstat(descriptor).st_size
        start = min(max(whole_number("offset", size - length), 0), size)
        data = os.pread(descriptor, length, start)
    finally:
        os.close(descriptor)
    return Window(
        name=name,
        path=f"{name}/{stream}",
        start=start,
        end=start + len(data),
        size=size,
        text=data.decode(errors="replace"),
        query=f"{query}&logType={stream}&byteLength={length}",
        length=length,
    )


def _open(path: Path, what: str) -> int:
    """A job owns its folder and may put anything there: a link to elsewhere is not followed, a pipe not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise NotFound(f"There is no {what} on this worker (any more).") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotFound(f"The {what} is not a file.")
    return descriptor
