"""Windows of a job's output, and searching in it, for ``/logPage/`` and ``/log`` (spec 15.4).

The worker reads its own files, the master asks the worker; both answer ``ReadLog`` with ``LogData``.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from werkzeug.exceptions import BadRequest, NotFound, ServiceUnavailable

from stoker.core.model.messages import LogData, ReadLog, Stream
from stoker.core.model.values import APP_ID, DRIVER_ID
from stoker.web.common import whole_number

WINDOW = 100 * 1024  # bytes shown by default, from the end
MAX_WINDOW = 1024 * 1024  # bytes at most
MAX_FIND = 200  # characters of a text that is searched for
SEARCH_FOR = 2.0  # seconds; then the page says how far the search got and offers to go on
DOWNLOAD_PATIENCE = 60.0  # seconds a download waits for its turn to read
READERS = 2  # requests that may wait for workers at once: pages need a thread even when workers are frozen
BEFORE_MATCH = 8 * 1024  # bytes shown before what was found
_SEARCH_STEP = 4 << 20  # bytes
_END = 1 << 62  # bytes: beyond the end of every file

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # colours and unprintable characters

ReadLogs = Callable[[ReadLog], LogData]


def readable(text: str) -> str:
    """Return the text without colours and unprintable characters."""
    return _ESCAPES.sub("", text.replace("\r\n", "\n"))


@dataclass(frozen=True, slots=True)
class JobOutput:
    """One output: of a driver, or of one ``attempt`` of it (> 0), or of an application's executor (``executor_id`` >= 0)."""

    job_id: str
    executor_id: int
    stream: Stream
    attempt: int = 0

    @classmethod
    def asked_for(cls, args: Mapping[str, str]) -> JobOutput:
        """Return the output that the query names: driverId (and attempt), or appId and executorId; and logType. Raises
        BadRequest."""
        driver, app, stream = args.get("driverId", ""), args.get("appId", ""), args.get("logType", "stdout")
        executor = whole_number("executorId", -1) if app else -1
        attempt = whole_number("attempt", 0) if driver else 0
        if not 0 <= attempt < 2**31:
            raise BadRequest(f"attempt must be the number of an attempt, 1 or more, not {attempt}.")
        is_driver = not app and DRIVER_ID.fullmatch(driver)
        is_executor = not driver and APP_ID.fullmatch(app) and 0 <= executor < 2**31
        if stream == "stdout" and (is_driver or is_executor):
            return cls(driver or app, executor, "stdout", attempt)
        if stream == "stderr" and (is_driver or is_executor):
            return cls(driver or app, executor, "stderr", attempt)
        raise BadRequest("Name a driverId, or an appId and an executorId, and logType=stdout or stderr.")

    @property
    def is_driver(self) -> bool:
        return self.executor_id < 0

    @property
    def name(self) -> str:
        return self.job_id if self.is_driver else f"{self.job_id}/{self.executor_id}"

    @property
    def title(self) -> str:
        """Return the name, and which attempt."""
        return f"{self.name} attempt {self.attempt}" if self.attempt else self.name

    @property
    def file_name(self) -> str:
        """Return the name under which a browser saves it."""
        return f"{self.title.replace('/', '-').replace(' ', '-')}.{self.stream}.txt"

    def query(self, stream: str = "") -> str:
        """Return the query of a link to this output, or to its other stream."""
        job = {"driverId": self.job_id} if self.is_driver else {"appId": self.job_id, "executorId": self.executor_id}
        attempt = {"attempt": self.attempt} if self.attempt else {}
        return urlencode({**job, **attempt, "logType": stream or self.stream})


class LogWindow(NamedTuple):
    """Bytes ``start`` to ``end`` of ``size``; those before ``first`` were removed. ``ended``: nothing will follow them;
    ``waiting``: it has not started yet."""

    start: int
    end: int
    size: int
    data: bytes
    length: int
    ended: bool = False
    waiting: bool = False
    first: int = 0

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")

    @property
    def before(self) -> int:
        """Return where the window before this one starts."""
        return max(self.start - self.length, self.first)

    @property
    def newest(self) -> int:
        """Return where to read on: at the end of this window, or, at the end of the output, its last bytes."""
        return self.end if self.end < self.size else max(self.size - self.length, 0)


class Found(NamedTuple):
    """``at`` is the position of the match, or None. ``looked_to``: how far was searched; ``is_all``: to the end or start."""

    at: int | None
    looked_to: int
    is_all: bool


class LogReaders:
    """Limits how many threads wait for workers at once. A thread waits at most ``patience`` seconds for its turn."""

    def __init__(self, read: ReadLogs, *, patience: float = SEARCH_FOR) -> None:
        self._read = read
        self._patience = patience
        self._places = threading.BoundedSemaphore(READERS)

    def for_downloads(self) -> LogReaders:
        """Return readers of the same outputs, with places of their own, for threads that no page waits for."""
        return LogReaders(self._read, patience=DOWNLOAD_PATIENCE)

    def window(self, output: JobOutput, *, start: int | None = None, length: int = WINDOW) -> LogWindow:
        """``start`` None: the last ``length`` bytes. A window outside of the output is moved into it. Raises NotFound,
        ServiceUnavailable, and what reading raises."""
        length = min(max(length, 0), MAX_WINDOW)
        offset = -length if start is None else min(max(start, 0), _END)
        data = self._ask(output, offset or _END, length) if start is None else self._ask(output, offset, length)
        if start is not None and offset > data.size and not data.waiting:
            data = self._ask(output, data.size, 0)
        at = data.size if length == 0 and start is None else data.offset
        return LogWindow(at, at + len(data.data), data.size, data.data, length, data.ended, data.waiting, data.first)

    def find(self, output: JobOutput, text: str, start: int, *, backwards: bool) -> Found:
        """The first place at ``start`` or later, or the last one before it. Raises as ``window`` does."""
        until = time.monotonic() + SEARCH_FOR
        at = min(max(start, 0), _END)
        while True:
            question = self._question(output, at, _SEARCH_STEP, find=text, backwards=backwards)
            data = self._answer(output, question)
            at = data.offset - data.searched if backwards else data.offset + data.searched
            is_all = data.waiting or (at <= data.first if backwards else at >= data.size)
            if data.found >= 0:
                return Found(data.found, at, is_all)
            if data.searched == 0 and not is_all:
                raise NotFound("The worker that has this output is of a release that cannot search.")
            if is_all or time.monotonic() > until:
                return Found(None, at, is_all)

    def _ask(self, output: JobOutput, offset: int, limit: int) -> LogData:
        return self._answer(output, self._question(output, offset, limit))

    def _question(
        self, output: JobOutput, offset: int, limit: int, *, find: str = "", backwards: bool = False
    ) -> ReadLog:
        return ReadLog(
            request=0,
            id=output.job_id,
            executor_id=output.executor_id,
            stream=output.stream,
            offset=offset,
            limit=limit,
            find=find,
            backwards=backwards,
            attempt=output.attempt,
        )

    def _answer(self, output: JobOutput, question: ReadLog) -> LogData:
        if not self._places.acquire(timeout=self._patience):
            raise ServiceUnavailable("Too many are reading logs at the moment: try again.")
        try:
            data = self._read(question)
        finally:
            self._places.release()
        if data.error:
            raise NotFound(f"There is no {output.stream} of {output.title} to read: {data.error}.")
        if data.attempt != output.attempt and not data.waiting:
            raise NotFound(
                f"The worker that has the {output.stream} of {output.name} is of a release that cannot separate attempts:"
                " look at the output of all of them."
            )
        return data
