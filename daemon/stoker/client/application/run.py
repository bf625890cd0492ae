"""``stoker run``: an application whose executors each run one command; it prints their output until all have ended.

The application is *finite*: an executor that exits has used up its share of the cores, and the master ends the application
when no share is left. So this side only prints output and waits for that message.
"""

from __future__ import annotations

import heapq
import itertools
import math
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from stoker.client.application.app import Application
from stoker.client.application.run_report import exit_status, failures, waiting_for
from stoker.client.logs.follower import STREAMS, Agenda, FollowedJob, Follower
from stoker.client.logs.output import Output
from stoker.client.session.asker import Askable, Exchange, Then
from stoker.core.application.events import (
    Disconnected,
    Executor,
    ExecutorChanged,
    ExecutorGranted,
    GaveUp,
    Registered,
    Removed,
    Stopped,
)
from stoker.core.application.executors import executor_of
from stoker.core.model.messages import GetStatus, Message, Status
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.errors import StokerError
from stoker.io.signals import END_SIGNALS

PATIENCE = 2.0  # seconds without a master or an executor before stoker says what it waits for
REPEAT = 60.0  # seconds until it says so again
DRAIN_TIMEOUT = 15.0  # seconds without news after the end until the rest of the output is given up

Task = Callable[[], None]  # for the main thread


class _OwnExecutor(FollowedJob):
    """An executor of this application: its master reports each change of its state."""

    def __init__(self, app_id: str, executor: Executor) -> None:
        super().__init__(app_id, executor.id, f"executor {executor.id}")
        self.executor = executor
        self.app_is_over = False

    @property
    def is_over(self) -> bool:
        return self.app_is_over or self.executor.state.is_final


class _MainThread:
    """An asker for the main thread: it puts answers, which come in the application's own thread, into the queue of tasks."""

    def __init__(self, app: Application, tasks: queue.SimpleQueue[Task]) -> None:
        self._app = app
        self._tasks = tasks

    def ask(
        self, question: Message, then: Then, *, on_lost: Callable[[], None] | None = None, prompt: bool = True
    ) -> Exchange:
        """For questions with one answer."""

        def answered(answer: Message) -> bool:
            self._tasks.put(lambda: _ignore(then(answer)))
            return True

        lost = None if on_lost is None else lambda: self._tasks.put(on_lost)
        return self._app.ask(question, answered, on_lost=lost, prompt=prompt)

    def forget(self, exchange: Exchange) -> None:
        self._app.forget(exchange)


class Run:
    """One run. ``on_event`` is for the Application; ``follow`` returns the exit code."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self._executors: dict[int, Executor] = {}
        self._jobs: dict[int, _OwnExecutor] = {}
        self._agenda = Agenda()
        self._app: Application
        self._asker: Askable
        self._removed: Removed | None = None
        self._error: StokerError | None = None
        self._signal = 0
        self._events = 0

    def on_event(self, event: object) -> None:
        """May be called from any thread."""
        self._tasks.put(lambda: self._on_event(event))

    def interrupt(self, number: int) -> None:
        """Stop everything, and exit as killed by this signal. From any thread, or a signal handler."""
        self._tasks.put(lambda: setattr(self, "_signal", self._signal or number))

    def follow(self, app: Application) -> int:
        """Show the output of all executors until the application has ended.

        Raises Unreachable, NotAuthorized or Refused when it could not be registered.
        """
        self._app, self._asker = app, _MainThread(app, self._tasks)
        self._later(PATIENCE, self._say_what_is_missing)
        while not self._is_done():
            self._turn()
        if self._error is not None:
            raise self._error
        if self._signal:
            return self._interrupted()
        self._learn_missing_ends()
        return self._conclude()

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        due = min(self._agenda.work(), self._timers[0][0] if self._timers else math.inf)
        timeout = due - time.monotonic()
        try:
            if timeout > 0:
                self._tasks.get(timeout=None if math.isinf(timeout) else timeout)()
            while True:
                self._tasks.get_nowait()()
        except queue.Empty:
            pass
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _later(self, seconds: float, task: Task) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), task))

    def _is_done(self) -> bool:
        if self._error is not None or self._signal:
            return True
        return self._removed is not None and all(follower.done for follower in self._followers())

    def _followers(self) -> Iterator[Follower]:
        return (follower for job in self._jobs.values() for follower in job.followers)

    # --- events ------------------------------------------------------------------------------------------------

    def _on_event(self, event: object) -> None:
        self._events += 1
        if isinstance(event, (ExecutorGranted, ExecutorChanged)):
            self._on_executor(event.executor)
        elif isinstance(event, Registered) and event.again:
            self._output.say(f"registered again with {event.master_url}")
        elif isinstance(event, Disconnected):
            self._output.say(
                f"lost the master ({event.reason}); executors keep running while stoker looks for a master"
            )
        elif isinstance(event, Removed):
            self._removed = event
            for job in self._jobs.values():
                job.app_is_over = True
                job.changed()
            self._later(DRAIN_TIMEOUT, self._give_up_quiet_output(self._progress()))
        elif isinstance(event, (GaveUp, Stopped)):
            self._error = self._app.error or StokerError("the application was stopped")

    def _on_executor(self, executor: Executor) -> None:
        before = self._executors.get(executor.id)
        self._executors[executor.id] = executor
        if executor.state is ExecutorState.LOST and self._removed is None:
            reason = executor.exit.reason or "its worker is unreachable"
            self._output.say(f"executor {executor.id} on host {executor.host}: lost, to be replaced ({reason})")
        elif before is not None and before.state is ExecutorState.LOST:
            self._output.say(f"executor {executor.id} on host {executor.host}: back with its worker")
        if executor.state is ExecutorState.LAUNCHING:
            return  # it has no output yet
        self._follow_output(executor)

    # --- output ------------------------------------------------------------------------------------------------------

    def _follow_output(self, executor: Executor) -> None:
        job = self._jobs.get(executor.id)
        if job is not None:
            job.executor = executor
            job.changed()
            return
        job = self._jobs[executor.id] = _OwnExecutor(self._app.app_id, executor)
        job.app_is_over = self._removed is not None
        for name in STREAMS:
            self._agenda.add(Follower(self._asker, job, name, self._output.lines(executor.id, name)))

    def _progress(self) -> tuple[int, ...]:
        followers = list(self._followers())
        return self._events, sum(follower.received for follower in followers), sum(map(_is_done, followers))

    def _give_up_quiet_output(self, before: tuple[int, ...]) -> Task:
        def look() -> None:
            now = self._progress()
            if now != before:
                self._later(DRAIN_TIMEOUT, self._give_up_quiet_output(now))
                return
            for follower in self._followers():
                follower.give_up(f"no answer in {DRAIN_TIMEOUT:g} s")

        return look

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _say_what_is_missing(self) -> None:
        if self._executors or self._removed is not None:
            return
        self._later(REPEAT, self._say_what_is_missing)
        if not self._app.app_id:
            self._output.say(f"waiting for a master ({self._app.complaints})")
            return

        try:
            self._asker.ask(GetStatus(request=0), self._say_waiting)
        except StokerError:
            return  # the application has ended: an event brings the reason

    def _say_waiting(self, answer: Message) -> bool:
        if not self._executors and self._removed is None:
            cluster = answer.cluster if isinstance(answer, Status) else None
            self._output.say(waiting_for(self._app.app_id, cluster))
        return True

    # --- the end -----------------------------------------------------------------------------------------------------

    def _learn_missing_ends(self) -> None:
        """Ask how executors ended while no master was reachable."""
        killed = self._removed is not None and self._removed.state is ApplicationState.KILLED
        if killed or all(executor.state.is_final for executor in self._executors.values()):
            return
        try:
            answer = self._app.call(GetStatus(request=0, id=self._app.app_id), timeout=5.0)
        except StokerError:
            return
        if isinstance(answer, Status) and answer.app is not None:
            for view in answer.app.removed_executors:
                known = self._executors.get(view.id)
                if known is None or not known.state.is_final:
                    self._executors[view.id] = executor_of(view)

    def _conclude(self) -> int:
        assert self._removed is not None
        for job in self._jobs.values():
            succeeded = self._executors[job.executor_id].exit.is_success
            for follower in job.followers:
                if follower.problem and (follower.received or succeeded):
                    self._output.say(f"the {follower.stream} of {job.name} is incomplete: {follower.problem}")
        executors = sorted(self._executors.values(), key=lambda executor: executor.id)
        for line in failures(self._app.app_id, self._removed, executors):
            self._output.say(line)
        return exit_status(self._removed, executors)

    def _interrupted(self) -> int:
        name = signal.Signals(self._signal).name
        self._app.stop(ApplicationState.KILLED, f"interrupted by {name}")
        self._output.say(
            f"interrupted: {self._app.app_id or 'the application'} is unregistered, its executors are stopped"
        )
        return 128 + self._signal


def _is_done(follower: Follower) -> bool:
    return follower.done


def _ignore(_: object) -> None:
    """Drop the result of a task."""


def run_application(app: Application, run: Run) -> int:
    """Register, follow to the end, unregister. SIGINT, SIGTERM and SIGHUP end it; returns the exit code."""
    with _signals_to(run.interrupt):
        app.start(wait=False)
        try:
            return run.follow(app)
        finally:
            app.stop(ApplicationState.KILLED, "its submitter stopped")


@contextmanager
def _signals_to(handle: Callable[[int], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread only
        return

    def handler(number: int, _frame: FrameType | None) -> None:
        handle(number)

    previous: dict[int, Any] = {number: signal.signal(number, handler) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
