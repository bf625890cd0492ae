"""``stoker run``: an application whose executors each run one command, watched from here until all have ended.

It is registered as *finite*: an executor that exits has used its share of the cores up, and the master ends the
application when nothing of it is left to run. So this side only shows output and waits for that word.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from stoker.client.application.app import Application
from stoker.client.application.run_report import exit_status, failures, waiting_for
from stoker.client.logs.output import POLL, STREAMS, LogStream, Output
from stoker.client.session.asker import Exchange
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
from stoker.core.model.messages import GetStatus, LogData, Message, Status
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import ApplicationDescription
from stoker.errors import StokerError
from stoker.io.signals import END_SIGNALS

PATIENCE = 2.0  # seconds without a master or an executor before we say what we wait for
REPEAT = 60.0  # seconds until we say it again
ANSWER_WITHIN = POLL + 20.0  # seconds until a question about output is asked again
SWEEP = 5.0  # seconds between two looks for such questions
DRAIN_TIMEOUT = 15.0  # seconds without news after the end until the rest of the output is given up

Task = Callable[[], None]  # what comes to the main thread


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about output that is under way."""

    serial: int
    expires: float
    exchange: Exchange


class Run:
    """One run. ``on_event`` is given to the Application; ``follow`` returns the exit code."""

    def __init__(self, output: Output, description: ApplicationDescription) -> None:
        self._output = output
        self._description = description
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self._executors: dict[int, Executor] = {}
        self._streams: dict[tuple[int, str], LogStream] = {}
        self._asked: dict[LogStream, _Asked] = {}
        self._app: Application
        self._removed: Removed | None = None
        self._error: StokerError | None = None
        self._signal = 0
        self._latest_news = time.monotonic()

    def on_event(self, event: object) -> None:
        """From any thread."""
        self._tasks.put(lambda: self._on_event(event))

    def interrupt(self, number: int) -> None:
        """From any thread, or a signal handler: end everything, and exit as killed by this signal."""
        self._tasks.put(lambda: setattr(self, "_signal", self._signal or number))

    def follow(self, app: Application) -> int:
        """Show the output of all executors until the application has ended.

        Raises Unreachable, NotAuthorized or Refused when it could not be registered.
        """
        self._app = app
        self._later(PATIENCE, self._say_what_is_missing)
        self._later(SWEEP, self._ask_again)
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
        timeout = self._timers[0][0] - time.monotonic() if self._timers else None
        try:
            if timeout is None or timeout > 0:
                self._tasks.get(timeout=timeout)()
        except queue.Empty:
            pass
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _later(self, seconds: float, task: Task) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), task))

    def _is_done(self) -> bool:
        if self._error is not None or self._signal:
            return True
        return self._removed is not None and all(stream.done for stream in self._streams.values())

    # --- what happens ------------------------------------------------------------------------------------------------

    def _on_event(self, event: object) -> None:
        self._latest_news = time.monotonic()
        if isinstance(event, (ExecutorGranted, ExecutorChanged)):
            self._on_executor(event.executor)
        elif isinstance(event, Registered) and event.again:
            self._output.say(f"registered again with {event.master_url}")
        elif isinstance(event, Disconnected):
            self._output.say(f"lost the master ({event.reason}); the executors go on, looking for it")
        elif isinstance(event, Removed):
            self._removed = event
            self._later(DRAIN_TIMEOUT, self._give_up_output)
        elif isinstance(event, (GaveUp, Stopped)):
            self._error = self._app.error or StokerError("the application was stopped")

    def _on_executor(self, executor: Executor) -> None:
        before = self._executors.get(executor.id)
        self._executors[executor.id] = executor
        if executor.state is ExecutorState.LOST and self._removed is None:
            reason = executor.exit.reason or "its worker is gone"
            self._output.say(f"executor {executor.id} on host {executor.host}: lost, to be replaced ({reason})")
        elif before is not None and before.state is ExecutorState.LOST:
            self._output.say(f"executor {executor.id} on host {executor.host}: back with its worker")
        if executor.state is ExecutorState.LAUNCHING:
            return  # there is nothing to read yet
        for name in STREAMS:
            stream = self._streams.get((executor.id, name))
            if stream is None:
                stream = self._streams[executor.id, name] = LogStream(executor.id, name)
                self._ask(stream)
            elif stream.done and stream.error and not executor.state.is_final:
                stream.done, stream.error = False, ""  # it came back with its worker
                self._ask(stream)

    # --- output ------------------------------------------------------------------------------------------------------

    def _ask(self, stream: LogStream) -> None:
        if stream.done:
            return
        serial = next(self._order)

        def answered(answer: Message) -> bool:
            self._tasks.put(lambda: self._on_output(stream, serial, answer))
            return True

        try:
            exchange = self._app.ask(stream.question(self._app.app_id), answered)
        except StokerError:
            stream.finish()  # it is over: the reason comes as an event
            return
        self._asked[stream] = _Asked(serial, time.monotonic() + ANSWER_WITHIN, exchange)

    def _ask_again(self) -> None:
        self._later(SWEEP, self._ask_again)
        for stream, asked in list(self._asked.items()):
            if asked.expires <= time.monotonic():
                self._app.forget(asked.exchange)
                self._ask(stream)

    def _on_output(self, stream: LogStream, serial: int, message: Message) -> None:
        asked = self._asked.get(stream)
        if stream.done or asked is None or asked.serial != serial:
            return
        del self._asked[stream]
        if not isinstance(message, LogData):
            message = LogData(request=0, error=getattr(message, "reason", "the master answers something else"))
        over = self._removed is not None or self._executors[stream.executor_id].state.is_final
        data, pause = stream.take(message, executor_is_over=over)
        if data or stream.done:
            self._latest_news = time.monotonic()
        self._output.write(stream, data)
        if pause:
            self._later(pause, lambda: self._ask(stream))
        else:
            self._ask(stream)

    def _give_up_output(self) -> None:
        quiet = time.monotonic() - self._latest_news
        if quiet < DRAIN_TIMEOUT:
            self._later(DRAIN_TIMEOUT - quiet, self._give_up_output)
            return
        for stream in self._streams.values():
            if not stream.done:
                self._output.write(stream, stream.finish())
                stream.error = f"no answer in {DRAIN_TIMEOUT:g} s"

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _say_what_is_missing(self) -> None:
        if self._executors or self._removed is not None:
            return
        self._later(REPEAT, self._say_what_is_missing)
        if not self._app.app_id:
            self._output.say(f"waiting for a master ({self._app.complaints})")
            return

        def answered(answer: Message) -> bool:
            self._tasks.put(lambda: self._say_waiting(answer))
            return True

        try:
            self._app.ask(GetStatus(request=0), answered)
        except StokerError:
            return  # it is over: the reason comes as an event

    def _say_waiting(self, answer: Message) -> None:
        if not self._executors and self._removed is None:
            cluster = answer.cluster if isinstance(answer, Status) else None
            self._output.say(waiting_for(self._app.app_id, self._description, cluster))

    # --- the end -----------------------------------------------------------------------------------------------------

    def _learn_missing_ends(self) -> None:
        """Executors that ended while we were away from the master."""
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
                    self._executors[view.id] = Executor(
                        view.id, view.worker_id, view.host, view.cores, view.memory_mib, view.state, view.exit
                    )

    def _conclude(self) -> int:
        assert self._removed is not None
        for stream in self._streams.values():
            executor = self._executors[stream.executor_id]
            if stream.error and (stream.offset or executor.exit.is_success):
                self._output.say(f"the {stream.stream} of executor {executor.id} is incomplete: {stream.error}")
        executors = sorted(self._executors.values(), key=lambda executor: executor.id)
        for line in failures(self._app.app_id, self._removed, executors):
            self._output.say(line)
        return exit_status(self._removed, executors)

    def _interrupted(self) -> int:
        name = signal.Signals(self._signal).name
        self._app.stop(ApplicationState.KILLED, f"interrupted by {name}")
        self._output.say(f"interrupted: {self._app.app_id or 'the application'} is unregistered, its executors end")
        return 128 + self._signal


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
