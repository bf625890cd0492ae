"""Watches an engine's executors: at first in the thread that waits for the first worker, then in a thread that reports
failures. It prints what is missing, and gives up when waiting cannot succeed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from stoker.client.application.app import Application
from stoker.client.application.run_report import how_it_ended, waiting_for
from stoker.core.application.events import (
    ApplicationEvent,
    Executor,
    ExecutorChanged,
    ExecutorGranted,
    GaveUp,
    Removed,
    Stopped,
)
from stoker.core.model.messages import GetStatus, LogData, ReadLog, Status
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import Exit
from stoker.engines.base import Engine
from stoker.engines.python import UNFIT
from stoker.errors import Refused, StokerError, Unreachable

PATIENCE = 2.0  # seconds without an executor until the user is told why
SLOW = 8  # times that, until the user is told that executors run but no worker has connected to the engine
REPEAT = 60.0  # seconds until either line is repeated
TAIL = 8192  # bytes of an executor's stderr in which its reason is looked for

_FAILED = (ExecutorState.FAILED, ExecutorState.EXITED)


class EngineWatch:
    """``on_event`` is for the Application; the engine calls ``on_worker`` when a worker has connected. Both may be called
    from any thread. ``notice`` is called with lines for the user."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._news: queue.SimpleQueue[ApplicationEvent | None] = queue.SimpleQueue()  # None: a worker has connected
        self._executors: dict[int, Executor] = {}
        self._unfit: set[str] = set()  # hosts that cannot run the engine
        self._latest = ""  # why the latest executor failed
        self._told: set[str] = set()
        self._patience = SLOW

    def on_event(self, event: ApplicationEvent) -> None:
        self._news.put(event)

    def on_worker(self) -> None:
        self._news.put(None)

    # --- until the first worker has connected ------------------------------------------------------------------------

    def wait(self, app: Application, engine: Engine, timeout: float | None) -> None:
        """Wait for the first worker. ``timeout`` is in seconds. Raises Refused when no host can run the engine's workers or
        the application has ended, Unreachable after ``timeout`` or when no master answers."""
        end = float("inf") if timeout is None else time.monotonic() + timeout
        speak_at = time.monotonic() + PATIENCE
        while (now := time.monotonic()) < end:
            if now >= speak_at:
                speak_at = now + self._speak(app, engine)
            try:
                news = self._news.get(timeout=max(0.0, min(speak_at, end) - now))
            except queue.Empty:
                continue
            if news is None:
                return
            self._learn(app, news)
            if isinstance(news, (Removed, GaveUp, Stopped)):
                raise app.error or Refused(self._over(app))
            hosts = {executor.host for executor in self._executors.values()}
            if self._unfit and hosts <= self._unfit:
                raise Refused(f"no host can run {engine.label} workers: {self._latest}")
        raise Unreachable(f"{app.app_id} has no {engine.label} worker after {timeout:g} s: {self._missing(engine)}")

    def _learn(self, app: Application, event: ApplicationEvent) -> bool:
        """Use an event; return whether it reports a failure, which ``_latest`` then describes."""
        if not isinstance(event, (ExecutorGranted, ExecutorChanged)):
            return False
        executor = event.executor
        self._executors[executor.id] = executor
        if executor.state not in _FAILED:
            return False
        self._latest = why_it_ended(app, executor)
        if _is_unfit(executor.exit):
            self._unfit.add(executor.host)
        return True

    def _speak(self, app: Application, engine: Engine) -> float:
        """Print what is missing; return the seconds until the next time."""
        if not self._executors:
            self._notice(self._waiting(app))
            return REPEAT
        self._patience -= 1
        if self._patience > 0:
            return PATIENCE
        self._notice(f"{app.app_id}: {self._missing(engine)}")
        return REPEAT

    def _waiting(self, app: Application) -> str:
        try:
            answer = app.call(GetStatus(request=0), timeout=5.0)
        except StokerError:
            return f"{app.app_id} waits for its master"
        return waiting_for(app.app_id, answer.cluster if isinstance(answer, Status) else None)

    def _missing(self, engine: Engine) -> str:
        running = {executor.host for executor in self._executors.values() if executor.state is ExecutorState.RUNNING}
        if running:
            hosts = ", ".join(sorted(running))
            return f"executors run on {hosts}, but have not connected to {engine.address}: is it reachable from there?"
        return self._latest or "no executor was granted"

    def _over(self, app: Application) -> str:
        removed = app.removed
        how = f"{removed.state.value}: {removed.reason}" if removed is not None else "stopped"
        failed = removed is not None and removed.state is ApplicationState.FAILED
        return f"{app.app_id} is {how}" + (f" ({self._latest})" if failed and self._latest else "")

    # --- from then on ------------------------------------------------------------------------------------------------

    def follow(self, app: Application, engine: Engine) -> None:
        """Go on in a thread, until the application has ended."""
        threading.Thread(target=self._follow, args=(app, engine), name="stoker-engine-watch", daemon=True).start()

    def _follow(self, app: Application, engine: Engine) -> None:
        while not isinstance(event := self._news.get(), (Stopped, GaveUp)):
            if isinstance(event, Removed):
                reason = self._over(app)
                self._notice(reason)
                engine.fail(reason)
            elif event is not None and self._learn(app, event):
                self._tell(self._latest)
            elif isinstance(event, ExecutorChanged) and event.executor.state is ExecutorState.LOST:
                self._notice(
                    f"executor {event.executor.id} on host {event.executor.host} is lost, and will be replaced"
                )

    def _tell(self, failure: str) -> None:
        """Report a failure; a host that cannot run the engine fails repeatedly, and is reported once."""
        where = failure.partition(" on host ")[2]
        if where.partition(" ")[0] not in self._unfit or where not in self._told:
            self._told.add(where)
            self._notice(failure)


def why_it_ended(app: Application, executor: Executor) -> str:
    """Return one line: where and how it ended and, when it exited by itself, the last line of its stderr."""
    text = f"executor {executor.id} on host {executor.host} {how_it_ended(executor)}"
    if executor.exit.code is None:
        return text
    question = ReadLog(request=0, id=app.app_id, executor_id=executor.id, stream="stderr", offset=-TAIL, limit=TAIL)
    try:
        answer = app.call(question, timeout=5.0)
    except StokerError:
        return text
    lines = answer.data.decode(errors="replace").strip().splitlines() if isinstance(answer, LogData) else []
    last = lines[-1].strip() if lines else ""
    if not last.strip("="):  # the header that the worker writes
        return text
    return f"{text}: {last.removeprefix('stoker: ')}"


def _is_unfit(exit: Exit) -> bool:
    """Whether a retry on that host cannot help: the executor could not be started, or reported so itself."""
    return exit.code in UNFIT or (exit.code is None and exit.signal is None)
