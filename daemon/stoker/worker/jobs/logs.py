"""Answers questions about the output of jobs: parts of stdout and stderr, searches, and waiting for more (long poll)."""

from __future__ import annotations

import heapq
import itertools
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stoker.core.model.messages import LogData, ReadLog
from stoker.core.model.states import JobPhase
from stoker.core.model.values import APP_ID, DRIVER_ID
from stoker.core.worker.jobs import AnyJob, DriverJob, executor_job_key
from stoker.io.inotify import FileWatch
from stoker.io.loop import Loop
from stoker.worker.jobs.attempts import Excerpt, section_of
from stoker.worker.jobs.output import OutputFile, Outputs

LOG = logging.getLogger("stoker.worker")
MAX_READ = 1 << 20  # bytes
MAX_SEARCH = 4 << 20  # bytes searched for one answer: some ten milliseconds of the worker's loop
_BUDGET = 0.03  # seconds of a round for questions: heartbeats and jobs wait no longer
MAX_FIND = 1000  # characters
FIRST_LOOK = 0.02  # seconds until looking again at an output that cannot be watched; doubled each time
RARE_LOOK = 0.25  # longest time between two looks, in seconds
WATCHED_LOOK = 5.0  # the same for an output that is watched: a file system may hide a change
_STREAMS = re.compile(r"stdout|stderr")


@dataclass(eq=False, slots=True)
class _Held:
    """A question that waits for output. ``state`` is that of the file when it was read; the file is read again when its
    state differs."""

    address: str
    message: ReadLog
    path: Path
    until: float
    watch: int | None = None
    pause: float = FIRST_LOOK
    state: tuple[object, ...] = ()
    is_answered: bool = False


class LogReader:
    """``is_over(id, executor_id)``: True when that process has ended or never ran here, False while it may still write.
    ``reply(address, answer)`` sends to a master. ``rolls``: this worker rolls the output of executors. With a ``loop``
    the kernel reports what is written to outputs that are waited for."""

    def __init__(
        self,
        work_dir: Path,
        *,
        is_over: Callable[[str, int], bool],
        reply: Callable[[str, LogData], None],
        rolls: bool = False,
        loop: Loop | None = None,
    ) -> None:
        self._work_dir = work_dir
        self._machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._is_over = is_over
        self._reply = reply
        self._outputs = Outputs(rolls=rolls)
        self._loop = loop
        self._watch = _open_watch() if loop is not None else None
        if loop is not None and self._watch is not None:
            loop.add_reader(self._watch.descriptor, lambda: self.files_changed(time.monotonic()))
        self._held: dict[tuple[str, int], set[_Held]] = {}  # by job
        self._held_count = 0
        self._asked: deque[tuple[str, ReadLog]] = deque()  # questions whose turn has not come
        self._spent = 0.0  # seconds of this round
        self._watched: dict[int, set[_Held]] = {}  # by the number of their watch
        self._order = itertools.count()
        self._looks: list[tuple[float, int, _Held]] = []  # a heap: when to look at the output of a question again
        self._changed: set[tuple[str, int]] = set()

    def close(self) -> None:
        if self._loop is not None and self._watch is not None:
            self._loop.remove_reader(self._watch.descriptor)
            self._watch.close()
            self._watch = None

    # --- questions ---

    def ask(self, address: str, message: ReadLog, now: float) -> None:
        """Answer a question, now or in a later round: the work of one round is limited, whatever others ask for."""
        self._asked.append((address, message))
        if len(self._asked) == 1 and self._spent < _BUDGET:
            self._work(now)

    def _work(self, now: float) -> None:
        """Answer questions in their order until the budget of this round is spent."""
        while self._asked and self._spent < _BUDGET:
            began = time.perf_counter()
            self._begin(*self._asked.popleft(), now)
            self._spent += time.perf_counter() - began

    def _begin(self, address: str, message: ReadLog, now: float) -> None:
        answer = self.read(message)
        path = self.path(message.id, message.executor_id, message.stream)
        if message.wait <= 0 or path is None or _is_news(answer):
            self._reply(address, answer)
            return
        held = _Held(address, message, path, now + message.wait)
        self._held.setdefault(_job_of(message), set()).add(held)
        self._held_count += 1
        self._hold(held, now)

    def forget(self, address: str) -> None:
        """Drop the questions of a master that is not connected any more."""
        self._asked = deque(asked for asked in self._asked if asked[0] != address)
        for held in [held for group in self._held.values() for held in group if held.address == address]:
            self._drop(held)

    def job_changed(self, job: AnyJob | None) -> None:
        """Note that its process started or ended: the next ``look`` answers the questions about it."""
        if isinstance(job, DriverJob):
            self._changed.add((job.driver_id, -1))
        elif job is not None:
            self._changed.add((job.app_id, job.executor_id))

    def all_changed(self) -> None:
        self._changed.update(self._held)

    def files_changed(self, now: float) -> None:
        """Read the notifications of the watch."""
        assert self._watch is not None
        watches, lost = self._watch.changed()
        for watch in list(self._watched) if lost else watches:
            for held in self._watched.pop(watch, set()):
                held.watch = None
                self._try(held, now)

    def look(self, now: float) -> None:
        """Begin a round: answer questions that wait for their turn, and each that has new output or whose time is up."""
        self._spent = 0.0
        self._work(now)
        if self._changed:
            changed, self._changed = self._changed, set()
            for held in [held for job in changed for held in self._held.get(job, ())]:
                self._try(held, now)
        while self._looks and self._looks[0][0] <= now:
            held = heapq.heappop(self._looks)[2]
            if held.is_answered:
                continue
            if now >= held.until or self._state(held) != held.state:
                self._try(held, now)
            else:
                self._look_later(held, now)

    def next_deadline(self) -> float:
        if self._asked:
            return 0.0
        return self._looks[0][0] if self._looks else float("inf")

    # --- waiting ---

    def _try(self, held: _Held, now: float) -> None:
        if held.is_answered:
            return
        answer = self.read(held.message)
        if _is_news(answer) or now >= held.until:
            self._drop(held)
            self._reply(held.address, answer)
        else:
            held.pause = FIRST_LOOK
            self._hold(held, now)

    def _hold(self, held: _Held, now: float) -> None:
        """Wait for a change. A change between reading and watching shows in the file's state."""
        if self._watch is not None and held.watch is None:
            held.watch = self._watch.add(held.path)
            if held.watch is not None:
                self._watched.setdefault(held.watch, set()).add(held)
        held.state = self._state(held)
        answer = self.read(held.message)
        if _is_news(answer):
            self._drop(held)
            self._reply(held.address, answer)
        else:
            self._look_later(held, now)

    def _look_later(self, held: _Held, now: float) -> None:
        pause = WATCHED_LOOK if held.watch is not None else held.pause
        held.pause = min(2 * held.pause, RARE_LOOK)
        heapq.heappush(self._looks, (min(held.until, now + pause), next(self._order), held))
        if len(self._looks) > 2 * self._held_count + 100:  # most entries belong to answered questions
            self._looks = [look for look in self._looks if not look[2].is_answered]
            heapq.heapify(self._looks)

    def _state(self, held: _Held) -> tuple[object, ...]:
        is_over = self._is_over(held.message.id, held.message.executor_id)
        try:
            status = held.path.stat(follow_symlinks=False)
        except OSError:
            return (is_over,)
        return is_over, status.st_ino, status.st_size

    def _drop(self, held: _Held) -> None:
        held.is_answered = True
        self._held_count -= 1
        job = _job_of(held.message)
        self._held[job].discard(held)
        if not self._held[job]:
            del self._held[job]
        if held.watch is not None and self._watch is not None:
            watching = self._watched.get(held.watch, set())
            watching.discard(held)
            if not watching:
                self._watched.pop(held.watch, None)
                self._watch.remove(held.watch)

    # --- reading ---

    def path(self, job_id: str, executor_id: int, stream: str) -> Path | None:
        """Return the path of the output; None for an invalid name."""
        if not _STREAMS.fullmatch(stream):
            return None
        if DRIVER_ID.fullmatch(job_id):
            return self._work_dir / job_id / stream
        if APP_ID.fullmatch(job_id) and 0 <= executor_id < 2**31:
            return self._work_dir / job_id / str(executor_id) / stream
        return None

    def read(self, message: ReadLog) -> LogData:
        """Return the present output, without waiting."""
        path = self.path(message.id, message.executor_id, message.stream)
        if path is None:
            return LogData(request=message.request, error="invalid name of an output")
        over = self._is_over(message.id, message.executor_id)  # taken before reading, so that later writes are noticed
        try:
            with self._outputs.open(path, may_be_rolled=not DRIVER_ID.fullmatch(message.id)) as output:
                if message.attempt > 0 and message.executor_id < 0:
                    return self._read_attempt(output, path.parent, message, over=over)
                return self._read_open(output, message, over=over)
        except FileNotFoundError:
            if over:
                return LogData(request=message.request, error="its output does not exist (any more)", ended=True)
            return LogData(request=message.request, waiting=True)
        except OSError as error:
            return LogData(request=message.request, error=f"cannot read the output: {error.strerror}")

    def _read_attempt(self, output: OutputFile, folder: Path, message: ReadLog, *, over: bool) -> LogData:
        section = section_of(folder, message.attempt, message.stream)
        if section is not None:
            excerpt = Excerpt(output, section)
            answer = self._read_open(excerpt, message, over=over or section.end is not None)
        elif over:
            error = f"attempt {message.attempt} has never run on this worker"
            answer = LogData(request=message.request, error=error, ended=True)
        else:
            answer = LogData(request=message.request, waiting=True)
        return msgspec.structs.replace(answer, attempt=message.attempt)

    def _read_open(self, output: OutputFile | Excerpt, message: ReadLog, *, over: bool) -> LogData:
        if message.find:
            return _search(output, message)
        offset, size = _offset(output, message), output.size
        if offset > size:
            offset = output.first  # a job has truncated it: continue with the new content
        at, data = output.read(offset, max(0, min(message.limit, MAX_READ)))
        ended = over and at + len(data) >= size
        file = f"{self._machine}.{output.file_id}"
        return LogData(
            request=message.request, offset=at, size=size, data=data, ended=ended, file=file, first=output.first
        )


def has_ended(jobs: Mapping[str, AnyJob], job_id: str, executor_id: int) -> bool:
    """Return whether the output is complete: no process of that driver or executor will write to it."""
    if executor_id >= 0:
        executor = jobs.get(executor_job_key(job_id, executor_id))
        return executor is None or executor.phase is JobPhase.ENDED
    return not any(
        isinstance(job, DriverJob) and job.driver_id == job_id and job.phase is not JobPhase.ENDED
        for job in jobs.values()
    )


def _open_watch() -> FileWatch | None:
    try:
        return FileWatch()
    except OSError as error:
        LOG.info("no inotify (%s): followed outputs are looked at %g times a second", error, 1 / RARE_LOOK)
        return None


def _job_of(message: ReadLog) -> tuple[str, int]:
    return message.id, -1 if DRIVER_ID.fullmatch(message.id) else message.executor_id


def _is_news(answer: LogData) -> bool:
    return bool(answer.data or answer.ended or answer.error)


def _offset(output: OutputFile | Excerpt, message: ReadLog) -> int:
    return max(output.first, output.size + message.offset) if message.offset < 0 else message.offset


def _search(output: OutputFile | Excerpt, message: ReadLog) -> LogData:
    """Matches *begin* in the part that is searched, so parts neither overlap nor leave gaps."""
    wanted = message.find[:MAX_FIND].encode(errors="replace").lower()
    size = output.size
    offset = min(_offset(output, message), size)
    room = max(offset - output.first, 0) if message.backwards else size - offset
    part = min(max(message.limit, 1), MAX_SEARCH, room)
    start = offset - part if message.backwards else offset
    text = output.read_filled(start, part + len(wanted) - 1).lower()
    at = text.rfind(wanted) if message.backwards else text.find(wanted)
    found = -1 if at < 0 else start + at
    return LogData(request=message.request, offset=offset, size=size, found=found, searched=part, first=output.first)
