"""Following what a driver or an executor writes, from anywhere to its very end: over the attempts of a driver, and over
restarts of masters and workers. Long polls through the master; no output is asked for before something can be there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from stoker.client.session.asker import Exchange
from stoker.client.session.session import Session
from stoker.core.model.messages import DriverUpdate, GetStatus, LogData, Message, ReadLog, Status, Stream, WatchDriver
from stoker.core.model.views import DriverView
from stoker.errors import NotFound, StokerError

LIMIT = 512 * 1024  # bytes asked for at a time
POLL = 10.0  # seconds the worker may hold a question while there is nothing to tell
GIVE_UP_ANSWER = POLL + 10.0  # seconds until a question about output is asked again
LOOK_AGAIN = 0.1  # seconds until asking again for a process that has not started
RETRY_ERROR = 0.3  # seconds until asking again after an error
FORGOTTEN_AFTER = 15.0  # seconds until a known driver counts as forgotten; workers are back within 10 or not at all
LAST_TRIES = 5  # after the process has ended, until the rest of its output is given up


class Job(Protocol):
    """Whose output it is. ``run`` numbers its runs (0: none yet). ``is_over``: no further run will come. ``news`` changes
    with everything learned of it."""

    id: str
    executor_id: int
    news: int

    @property
    def run(self) -> int: ...

    @property
    def is_over(self) -> bool: ...

    def check(self) -> None:
        """The latest run does not answer as it should: learn why, where the master does not tell by itself."""

    def run_ended(self) -> None:
        """The latest run is over, and its output is read."""

    def work(self) -> float:
        """What is due; returns when to call again at the latest (``time.monotonic()`` seconds)."""


class WatchedDriver:
    """A driver whose every change the master tells us. ``view`` is the latest; ``failure`` is set when it cannot be watched.

    One that is ``known`` to exist and is not found is asked for again for a while: a master without records learns of it
    when its worker registers.
    """

    executor_id = -1

    def __init__(self, session: Session, driver_id: str, *, known: bool = False) -> None:
        self.id = driver_id
        self.view: DriverView | None = None
        self.failure: StokerError | None = None
        self.news = 0
        self._session = session
        self._known = known
        self._missing_since: float | None = None
        self._watch_at = math.inf

    def watch(self) -> None:
        self._watch_at = math.inf
        self._session.start(self.question(), self.take)

    def question(self) -> WatchDriver:
        return WatchDriver(request=0, driver_id=self.id)

    def take(self, message: Message) -> bool:
        """An answer to the watch; whether it was the last."""
        self.news += 1
        if isinstance(message, DriverUpdate):
            self.view, self._known, self._missing_since = message.driver, True, None
            return message.driver.state.is_final
        try:
            self._session.checked(message)
        except NotFound as error:
            self._not_found(error)
        except StokerError as error:
            self.failure = error
        return True

    def _not_found(self, error: NotFound) -> None:
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        if self._known and now < self._missing_since + FORGOTTEN_AFTER:
            self._watch_at = now + RETRY_ERROR
        else:
            self.failure = error

    @property
    def run(self) -> int:
        return self.view.attempts[-1].number if self.view is not None and self.view.attempts else 0

    @property
    def is_over(self) -> bool:
        return self.failure is not None or (self.view is not None and self.view.state.is_final)

    def check(self) -> None:
        pass

    def run_ended(self) -> None:
        pass

    def work(self) -> float:
        if time.monotonic() >= self._watch_at:
            self.watch()
        return self._watch_at


class PolledExecutor:
    """An executor: of its application's state we ask only when its output does not come."""

    run = 1  # one that is replaced gets another number

    def __init__(self, session: Session, app_id: str, executor_id: int) -> None:
        self.id = app_id
        self.executor_id = executor_id
        self.news = 0
        self.is_over = False
        self._session = session
        self._asking = False

    def check(self) -> None:
        if not self._asking:
            self._asking = True
            self._session.start(GetStatus(request=0, id=self.id), self._take)

    def _take(self, answer: Message) -> bool:
        self._asking = False
        app = answer.app if isinstance(answer, Status) else None
        lives = app is not None and any(executor.id == self.executor_id for executor in app.executors)
        if self.is_over is lives:
            self.is_over = not lives
            self.news += 1
        return True

    def run_ended(self) -> None:
        self.is_over = True

    def work(self) -> float:
        return math.inf


class LogFollower:
    """One stream of one job. ``write`` gets its bytes in order; ``done`` when nothing more will come, and then ``problem``
    says why its output is incomplete, if it is. ``offset`` is where to begin in the file of the latest run (bytes)."""

    def __init__(
        self, session: Session, job: Job, stream: Stream, write: Callable[[bytes], None], *, offset: int = 0
    ) -> None:
        self.done = False
        self.problem = ""
        self._session = session
        self._job = job
        self._stream: Stream = stream
        self._write = write
        self._offset = offset  # where to ask next
        self._read: dict[str, int] = {}  # by file: how far it is read
        self._asked: Exchange | None = None
        self._asked_until = 0.0
        self._again_at = 0.0
        self._seen = -1  # the job's news when we last asked
        self._read_run = 0  # the run that is read to its end
        self._failures = 0

    def work(self) -> float:
        """Ask if there is reason to; returns when to call again at the latest (``time.monotonic()`` seconds)."""
        now = time.monotonic()
        if self._asked is not None:
            if now < self._asked_until:
                return self._asked_until
            self._session.forget(self._asked)
            self._asked = None
        if self._job.run == self._read_run:
            self.done = self.done or self._job.is_over
        if self.done or self._job.run == self._read_run:
            return math.inf
        if now < self._again_at and self._job.news == self._seen:
            return self._again_at
        self._ask(now)
        return self._asked_until

    def _ask(self, now: float) -> None:
        run, offset = self._job.run, self._offset
        self._seen, self._asked_until = self._job.news, now + GIVE_UP_ANSWER
        question = ReadLog(
            request=0,
            id=self._job.id,
            stream=self._stream,
            executor_id=self._job.executor_id,
            offset=offset,
            limit=LIMIT,
            wait=POLL,
        )

        def answered(answer: Message) -> bool:
            self._asked = None
            if not isinstance(answer, LogData):
                answer = LogData(request=0, error=getattr(answer, "reason", "the master answers something else"))
            if answer.error or answer.waiting or self._is_next(offset, answer):
                self._take(run, answer)
            return True

        self._asked = self._session.start(question, answered, prompt=False)

    def _is_next(self, asked: int, answer: LogData) -> bool:
        """Does this continue what is read of that file? Which file a run writes to shows only in the first answer."""
        expected = self._read.setdefault(answer.file, 0 if self._read else asked)
        if asked != expected:
            self._offset = expected
            return False
        self._offset = self._read[answer.file] = answer.offset + len(answer.data)
        return True

    def _take(self, run: int, answer: LogData) -> None:
        if answer.data:
            self._failures = 0
            self._write(answer.data)
        if answer.ended and (not answer.error or not self._offset):
            self._read_run = run  # with an error, it ended before it wrote anything
            self._job.run_ended()
        elif answer.error or (answer.waiting and self._job.is_over):
            self._failed(answer.error or "it never started")
        elif answer.waiting:
            self._again_at = time.monotonic() + LOOK_AGAIN
            self._job.check()
        elif not answer.data:
            self._again_at = time.monotonic() + LOOK_AGAIN  # a worker that does not hold questions must not be flooded

    def _failed(self, error: str) -> None:
        self._again_at = time.monotonic() + RETRY_ERROR
        self._job.check()
        self._failures += self._job.is_over
        if self._failures >= LAST_TRIES:
            self.done, self.problem = True, error


def follow(
    session: Session,
    job: Job,
    followers: Sequence[LogFollower],
    until: Callable[[], bool],
    look_at: float = math.inf,
) -> None:
    """Work until ``until()``, which is also asked at ``look_at`` (``time.monotonic()`` seconds)."""
    while True:
        due = min([look_at, job.work(), *(follower.work() for follower in followers)])
        if until():
            return
        session.pump(None if math.isinf(due) else max(0.0, due - time.monotonic()))


def stream_of(session: Session, job: Job, name: Stream, *, offset: int = 0) -> Iterator[bytes]:
    """The bytes of one stream as they come, to the end. Raises StokerError when it, or its rest, cannot be read."""
    pieces: list[bytes] = []
    follower = LogFollower(session, job, name, pieces.append, offset=offset)
    while not follower.done:
        follow(session, job, [follower], lambda: follower.done or bool(pieces))
        while pieces:
            yield pieces.pop(0)
    if isinstance(job, WatchedDriver) and job.failure is not None:
        raise job.failure
    if follower.problem:
        raise StokerError(f"the {name} of {job.id} cannot be read to its end: {follower.problem}")
