"""The one follower of output: ``stoker run``, ``submit --wait``, ``logs -f`` and ``Client.follow`` read with it.

It reads one stream of one driver or executor to its very end: over the attempts of a driver, and over restarts of masters and
workers. It asks long polls through an ``Askable``. ``work`` and the answers must come in one thread: one that
answers in a thread of its own hands the answers over.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from stoker.client.session.asker import Askable, Exchange
from stoker.client.session.session import Session
from stoker.core.model.messages import LogData, Message, ReadLog, Stream
from stoker.errors import StokerError

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
LIMIT = 512 * 1024  # bytes asked for at a time
POLL = 30.0  # seconds that a worker may hold a question without an answer; a master allows 60
GIVE_UP_ANSWER = POLL + 10.0  # seconds until a question about output is asked again
LOOK_AGAIN = 0.1  # seconds until asking again for a process that has not started
RETRY_ERROR = 0.3  # seconds until asking again after an error
CANNOT_SEPARATE = (
    "its worker or the master is of a release that cannot separate attempts: read all of them, without --attempt"
)
LAST_TRIES = 5  # after the process has ended, until the rest of its output is given up


def lost(start: int, end: int, output: str) -> str:
    """What to say about bytes that a worker does not have any more."""
    return f"bytes {start} to {end} of {output} are lost: their rolled files were removed (maxRetainedFiles) or damaged"


class Task:
    """Something that is worked on when its time has come, or when it is woken. ``wake`` is set by an ``Agenda``."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None

    def work(self) -> float:
        """Do what is due; returns when to call again at the latest (``time.monotonic()`` seconds)."""
        raise NotImplementedError


class FollowedJob(Task):
    """Whose output it is. ``news`` counts what was learned of it, ``executor_id`` is -1 for a driver."""

    def __init__(self, job_id: str, executor_id: int, name: str) -> None:
        super().__init__()
        self.id = job_id
        self.executor_id = executor_id
        self.name = name
        self.attempt = 0  # of a driver, if only one of them is followed
        self.news: int = 0
        self.failure: StokerError | None = None  # why nothing can be learned of it
        self.followers: list[Follower] = []

    @property
    def run(self) -> int:
        """The number of its latest run; 0: none yet."""
        return 1

    @property
    def is_over(self) -> bool:
        """No further run will come."""
        raise NotImplementedError

    def check(self) -> None:
        """The latest run does not answer as it should: learn why, where the master does not report it by itself."""

    def run_ended(self) -> None:
        """The latest run has ended, and its output is read."""

    def work(self) -> float:
        return math.inf

    def changed(self) -> None:
        self.news = self.news + 1
        for follower in self.followers:
            follower.wake()


class Sink(Protocol):
    """Where output goes."""

    def write(self, data: bytes) -> None: ...

    def finish(self) -> None:
        """No more comes."""

    def notice(self, line: str) -> None:
        """Something the user must know about this output."""


class Follower(Task):
    """One stream of one job. ``done`` when no more will come; then ``problem`` says why its output is incomplete, if it is.
    ``offset`` is where to begin (bytes) in the output of the latest run."""

    def __init__(self, asker: Askable, job: FollowedJob, stream: Stream, sink: Sink, *, offset: int = 0) -> None:
        super().__init__()
        self.done = False
        self.problem = ""
        self.received = 0  # bytes
        self.stream: Stream = stream
        self._asker = asker
        self._job = job
        self._sink = sink
        self._offset = offset  # where to ask next
        self._read: dict[str, int] = {}  # by file: how far it is read
        self._asked: Exchange | None = None
        self._serial = 0  # of the question whose answer counts
        self._asked_until = 0.0
        self._again_at = 0.0
        self._seen = -1  # the job's news when we last asked
        self._read_run = 0  # the run that is read to its end
        self._failures = 0
        self._lost = self._lost_told = 0  # bytes that do not exist any more
        self._has_begun_anew = False
        job.followers.append(self)

    def work(self) -> float:
        """Ask if there is reason to."""
        now = time.monotonic()
        if self._asked is not None:
            if now < self._asked_until:
                return self._asked_until
            self._forget()
        if self._job.run == self._read_run:
            if self._job.is_over:
                self._finish()
        elif self.done and self._failures >= LAST_TRIES and not self._job.is_over:  # its worker is back
            self.done, self.problem, self._failures = False, "", 0
        if self.done or self._job.run == self._read_run:
            return math.inf
        if now < self._again_at and self._job.news == self._seen:
            return self._again_at
        self._ask(now)
        return math.inf if self.done else self._asked_until

    def give_up(self, problem: str) -> None:
        """Stop following."""
        self._forget()
        self._finish(problem)

    def _ask(self, now: float) -> None:
        run, offset = self._job.run, self._offset
        self._seen, self._asked_until = self._job.news, now + GIVE_UP_ANSWER
        self._serial += 1
        serial = self._serial
        question = ReadLog(
            request=0,
            id=self._job.id,
            stream=self.stream,
            executor_id=self._job.executor_id,
            offset=offset,
            limit=LIMIT,
            wait=POLL,
            attempt=self._job.attempt,
        )

        def answered(answer: Message) -> bool:
            if self._asked is not None and serial == self._serial:
                self._asked = None
                self._answered(run, offset, answer)
                self.wake()
            return True

        try:
            self._asked = self._asker.ask(question, answered, prompt=False)
        except StokerError as error:
            self._finish(str(error))

    def _forget(self) -> None:
        if self._asked is not None:
            self._asker.forget(self._asked)
            self._asked = None

    def _answered(self, run: int, asked: int, answer: Message) -> None:
        if not isinstance(answer, LogData):
            self._failed(getattr(answer, "reason", "") or "the master sent something else than output")
        elif answer.error or answer.waiting:
            self._without_output(run, answer)
        elif answer.attempt != self._job.attempt:
            self._failed(CANNOT_SEPARATE, final=True)
        elif self._is_of_expected_file(asked, answer):
            self._take(run, asked, answer)

    def _without_output(self, run: int, answer: LogData) -> None:
        if answer.error and answer.ended and not self.received:
            self._run_is_read(run)  # it ended before it wrote anything
        elif answer.error or self._job.is_over:
            self._failed(answer.error or "it never started")
        else:
            self._pause(LOOK_AGAIN)
            self._job.check()

    def _is_of_expected_file(self, asked: int, answer: LogData) -> bool:
        """Which file a run of a driver writes to shows only in the first answer: it may continue that of an earlier run."""
        name = answer.file if self._job.executor_id < 0 else ""
        expected = self._read.setdefault(name, 0 if self._read else asked)
        if asked != expected:
            self._offset = expected
            return False
        if answer.offset < asked <= answer.size:
            self._failed("the answers of the master do not fit together", final=True)
            return False
        self._offset = self._read[name] = answer.offset + len(answer.data)
        return True

    def _take(self, run: int, asked: int, answer: LogData) -> None:
        if answer.offset > asked:
            self._lose(asked, answer.offset)
        elif answer.offset < asked:
            self._began_anew()
        if answer.data:
            self._failures, self.received = 0, self.received + len(answer.data)
            self._sink.write(answer.data)
        if answer.ended and self._offset >= answer.size:
            self._run_is_read(run)
        elif not answer.data:
            self._pause(
                0.0 if answer.offset > asked else LOOK_AGAIN
            )  # a worker that holds no questions must not be flooded

    def _lose(self, start: int, end: int) -> None:
        if not self._lost:
            self._sink.notice(lost(start, end, f"{self.stream} of {self._job.name}"))
            self._lost_told = end - start
        self._lost += end - start

    def _began_anew(self) -> None:
        if not self._has_begun_anew:
            self._has_begun_anew = True
            self._sink.notice(
                f"{self.stream} of {self._job.name} began anew (truncated, or rolled by a worker of an earlier release): "
                "output may be missing"
            )

    def _run_is_read(self, run: int) -> None:
        self._read_run = run
        self._job.run_ended()

    def _pause(self, seconds: float) -> None:
        self._again_at = time.monotonic() + seconds

    def _failed(self, error: str, *, final: bool = False) -> None:
        self._pause(RETRY_ERROR)
        self._job.check()
        self._failures += self._job.is_over
        if final or self._failures >= LAST_TRIES:
            self._finish(error)

    def _finish(self, problem: str = "") -> None:
        if self.done:
            return
        self.done, self.problem = True, problem
        if self._lost > self._lost_told:
            self._sink.notice(f"in all, {self._lost} bytes of {self.stream} of {self._job.name} are lost")
            self._lost_told = self._lost
        self._sink.finish()


class Agenda:
    """Tasks by the time they are due. An answer to one of many followers costs the work of that one."""

    def __init__(self, *tasks: Task) -> None:
        self._ready: list[Task] = []
        self._due: dict[Task, float] = {}
        self._entries: dict[Task, float] = {}  # when the latest entry of a task in the heap comes
        self._heap: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        for task in tasks:
            self.add(task)

    def add(self, task: Task) -> None:
        task.wake = lambda: self._ready.append(task)
        task.wake()

    def work(self) -> float:
        """Work on all tasks that are due; returns when the next one is (``time.monotonic()`` seconds)."""
        while True:
            while self._ready:
                self._work_on(self._ready.pop())
            now = time.monotonic()
            while self._heap and self._heap[0][0] <= now:
                at, _, task = heapq.heappop(self._heap)
                if self._entries.get(task) == at:
                    del self._entries[task]
                    if self._due[task] <= now:
                        self._ready.append(task)
                    else:
                        self._enter(task)
            if not self._ready:
                return self._heap[0][0] if self._heap else math.inf

    def _work_on(self, task: Task) -> None:
        self._due[task] = task.work()
        self._enter(task)

    def _enter(self, task: Task) -> None:
        """An entry that comes too early is enough: it is put off when it comes."""
        due = self._due[task]
        if not math.isinf(due) and due < self._entries.get(task, math.inf):
            self._entries[task] = due
            heapq.heappush(self._heap, (due, next(self._order), task))


def follow(session: Session, agenda: Agenda, until: Callable[[], bool], look_at: float = math.inf) -> None:
    """Work until ``until()``, which is also asked at ``look_at`` (``time.monotonic()`` seconds)."""
    while True:
        due = min(look_at, agenda.work())
        if until():
            return
        session.pump(None if math.isinf(due) else max(0.0, due - time.monotonic()))


class _Pieces:
    """Output that an iterator hands out."""

    def __init__(self, notice: Callable[[str], None] | None) -> None:
        self.waiting: list[bytes] = []
        self._notice = notice

    def write(self, data: bytes) -> None:
        self.waiting.append(data)

    def finish(self) -> None:
        pass

    def notice(self, line: str) -> None:
        if self._notice is not None:
            self._notice(line)


def stream_of(
    session: Session, job: FollowedJob, name: Stream, *, offset: int = 0, notice: Callable[[str], None] | None = None
) -> Iterator[bytes]:
    """The bytes of one stream as they come, to the end. ``notice`` is given a line when some of them do not exist any more.

    Raises StokerError when the stream, or its rest, cannot be read.
    """
    pieces = _Pieces(notice)
    follower = Follower(session, job, name, pieces, offset=offset)
    agenda = Agenda(job, follower)
    while not follower.done:
        follow(session, agenda, lambda: follower.done or bool(pieces.waiting))
        while pieces.waiting:
            yield pieces.waiting.pop(0)
    if job.failure is not None:
        raise job.failure
    if follower.problem:
        raise StokerError(f"the {name} of {job.name} cannot be read to its end: {follower.problem}")
