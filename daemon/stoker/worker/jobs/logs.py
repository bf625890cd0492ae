"""Reading what jobs wrote: windows of their stdout and stderr, and waiting for more (long poll)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stoker.core.model.messages import LogData, ReadLog
from stoker.core.model.values import APP_ID, DRIVER_ID

MAX_READ = 1 << 20  # bytes
MAX_SEARCH = 4 << 20  # bytes looked through for one answer: some ten milliseconds of the worker's loop
MAX_FIND = 1000  # characters
LOOK_EVERY = 0.02  # seconds, only while somebody waits
_STREAMS = re.compile(r"stdout|stderr")


@dataclass(slots=True)
class _Waiting:
    address: str
    message: ReadLog
    until: float


class LogReader:
    """``is_over(id, executor_id)``: True when that process has ended or was never here, False while it may still write.
    ``reply(address, answer)`` sends to a master."""

    def __init__(
        self,
        work_dir: Path,
        *,
        is_over: Callable[[str, int], bool],
        reply: Callable[[str, LogData], None],
    ) -> None:
        self._work_dir = work_dir
        self._machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._is_over = is_over
        self._reply = reply
        self._waiting: list[_Waiting] = []
        self._look_at = float("inf")

    def ask(self, address: str, message: ReadLog, now: float) -> None:
        answer = self.read(message)
        if message.wait > 0 and not answer.data and not answer.ended and not answer.error:
            self._waiting.append(_Waiting(address, message, now + message.wait))
            self._look_at = min(self._look_at, now + LOOK_EVERY)
        else:
            self._reply(address, answer)

    def look(self, now: float) -> None:
        """Answer those for whom there is something, or whose time is up."""
        if now < self._look_at:
            return
        still = []
        for waiting in self._waiting:
            answer = self.read(waiting.message)
            if answer.data or answer.ended or answer.error or now >= waiting.until:
                self._reply(waiting.address, answer)
            else:
                still.append(waiting)
        self._waiting = still
        self._look_at = now + LOOK_EVERY if still else float("inf")

    def wake(self, now: float) -> None:
        """Something ended: look in this round."""
        if self._waiting:
            self._look_at = now

    def next_deadline(self) -> float:
        return self._look_at

    def path(self, job_id: str, executor_id: int, stream: str) -> Path | None:
        """Where that output is; None for names that are not of this program's making."""
        if not _STREAMS.fullmatch(stream):
            return None
        if DRIVER_ID.fullmatch(job_id):
            return self._work_dir / job_id / stream
        if APP_ID.fullmatch(job_id) and 0 <= executor_id < 2**31:
            return self._work_dir / job_id / str(executor_id) / stream
        return None

    def read(self, message: ReadLog) -> LogData:
        """What there is now; ``message.wait`` is the business of ``ask``."""
        path = self.path(message.id, message.executor_id, message.stream)
        if path is None:
            return LogData(request=message.request, error="that is not the name of an output")
        over = self._is_over(message.id, message.executor_id)  # before reading: what is written after it is not lost
        try:
            # O_NONBLOCK: a job may have put a pipe there, whose opening would wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if over:
                return LogData(request=message.request, error="there is no output (any more)", ended=True)
            return LogData(request=message.request, waiting=True)
        except OSError as error:
            return LogData(request=message.request, error=f"cannot read the output: {error.strerror}")
        try:
            return self._read_open(descriptor, message, over=over)
        finally:
            os.close(descriptor)

    def _read_open(self, descriptor: int, message: ReadLog, *, over: bool) -> LogData:
        status = os.fstat(descriptor)
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            return LogData(request=message.request, error="the output is not a file (any more)")
        if message.find:
            return _search(descriptor, size, message)
        offset = _offset(size, message)
        if offset > size:
            offset = 0  # it was rolled: what follows is in a new file
        data = os.pread(descriptor, max(0, min(message.limit, MAX_READ)), offset)
        ended = over and offset + len(data) >= size
        file = f"{self._machine}.{status.st_dev:x}.{status.st_ino:x}"
        return LogData(request=message.request, offset=offset, size=size, data=data, ended=ended, file=file)


def _offset(size: int, message: ReadLog) -> int:
    return max(0, size + message.offset) if message.offset < 0 else message.offset


def _search(descriptor: int, size: int, message: ReadLog) -> LogData:
    """Matches *begin* in the part that is looked through, so parts neither overlap nor leave gaps."""
    wanted = message.find[:MAX_FIND].encode(errors="replace").lower()
    offset = min(_offset(size, message), size)
    room = offset if message.backwards else size - offset
    part = min(max(message.limit, 1), MAX_SEARCH, room)
    start = offset - part if message.backwards else offset
    text = os.pread(descriptor, part + len(wanted) - 1, start).lower()
    at = text.rfind(wanted) if message.backwards else text.find(wanted)
    found = -1 if at < 0 else start + at
    return LogData(request=message.request, offset=offset, size=size, found=found, searched=part)
