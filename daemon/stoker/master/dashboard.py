"""The dashboard's access to a leading master: snapshots, an hour of samples, output of jobs, and changes.

All methods except ``sample`` are for the dashboard's threads. Only the loop reads the books, between two rounds.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable

import msgspec

from stoker.core.master.effects import Received
from stoker.core.master.history import INTERVAL, Samples, take_sample
from stoker.core.master.machine import MasterCore
from stoker.core.model.changes import JobChange, WhatIf
from stoker.core.model.counts import Counts
from stoker.core.model.messages import (
    Accepted,
    DrainWorkers,
    DryRun,
    DryRunResult,
    Failed,
    GetScheduling,
    GetStatus,
    HoldJob,
    KillJob,
    LogData,
    Message,
    ReadLog,
    Scheduling,
    Status,
    SubmitDriver,
    Submitted,
    ToMaster,
    UpdateJob,
)
from stoker.core.model.principal import Asker
from stoker.core.model.states import Role
from stoker.core.model.values import DriverDescription, Now
from stoker.core.model.views import AppView, ClusterView, DriverView, Sample
from stoker.errors import NotFound, ProtocolError, Refused, Unreachable
from stoker.io.ask import ask_in_loop
from stoker.io.clock import read_clock
from stoker.io.loop import Loop
from stoker.master.forecasting import Answer, Forecaster, Question
from stoker.master.internal import NO_ANSWER, InternalRequests
from stoker.master.pause import Pause
from stoker.master.relay import LogRelay

VIEW_AGE = 0.2  # seconds for which a snapshot is used
VIEW_SHARE = 0.02  # of the loop's time that snapshots may cost; snapshots of a large cluster are used for longer
_NOBODY = Asker("", is_admin=False)  # for what everybody may do
LOG_WITHIN = 5.0  # seconds a worker may take to answer a browser


class LeaderDashboard:
    """A leader's dashboard. ``view`` makes a snapshot, in the loop; ``warnings`` are shown at the top of every page.
    ``too_large`` returns why a submission is refused, or ""."""

    def __init__(
        self,
        loop: Loop,
        core: MasterCore,
        relay: LogRelay,
        internal: InternalRequests,
        pause: Pause,
        *,
        view: Callable[[], ClusterView],
        warnings: tuple[str, ...],
        too_large: Callable[[DriverDescription], str],
    ) -> None:
        self._loop = loop
        self._core = core
        self._relay = relay
        self._internal = internal
        self._pause = pause
        self._make_view = view
        self._warnings = warnings
        self._too_large = too_large
        self._history = Samples()
        self._forecaster = Forecaster()
        self._sample_at = 0.0
        self._lock = threading.Lock()
        self._view: ClusterView | None = None
        self._view_until = 0.0
        self._counts = core.ctx.tally.copy()

    def sample(self, now: Now) -> float:
        """Take a sample if one is due. The loop calls this, at the latest at the time that the last call returned
        (``time.monotonic`` seconds)."""
        if now.mono >= self._sample_at:
            self._sample_at = now.mono + INTERVAL
            self._history.add(take_sample(self._core.ctx.books, now.wall))
        return self._sample_at

    def snapshot(self) -> ClusterView:
        """Return an immutable view, at most ``VIEW_AGE`` old; older in a large cluster, where making a view takes more than
        ``VIEW_SHARE`` of that time. Raises Refused when the loop is too busy."""
        with self._lock:
            if self._view is None or time.monotonic() >= self._view_until:
                self._view, self._counts, cost = ask_in_loop(self._loop, self._timed_view)
                self._view_until = time.monotonic() + max(VIEW_AGE, cost / VIEW_SHARE)
            return self._view

    def counts(self) -> Counts:
        """Return the counters as they were at the latest snapshot."""
        with self._lock:
            return self._counts

    def _timed_view(self) -> tuple[ClusterView, Counts, float]:
        """Return a view, the counters, and the seconds that both took."""
        start = time.perf_counter()
        view = self._make_view()
        view = msgspec.structs.replace(view, warnings=(*view.warnings, *self._warnings))
        return view, self._core.ctx.tally.copy(), time.perf_counter() - start

    def history(self) -> tuple[Sample, ...]:
        """Return the use of the cluster over the last hour, oldest first."""
        return self._history.samples

    def read_log(self, question: ReadLog) -> LogData:
        """Return the answer of the worker that has the output, or the reason why there is none. Raises Unreachable when the
        worker does not answer in time."""
        answers: queue.SimpleQueue[LogData] = queue.SimpleQueue()
        self._loop.call_soon_threadsafe(lambda: self._relay.ask(question, answers.put))
        try:
            return answers.get(timeout=LOG_WITHIN)
        except queue.Empty:
            raise Unreachable("the worker that has this output does not answer: try again") from None

    def kill(self, job_id: str, by: Asker) -> str:
        """Kill a driver or application. Raises NotFound, NotAuthorized, Refused."""
        answer = self._ask(KillJob(request=0, id=job_id), by)
        if not isinstance(answer, Accepted):
            raise ProtocolError(f"a kill was answered with {type(answer).__name__}")
        return answer.text

    def hold(self, job_id: str, by: Asker, *, hold: bool) -> str:
        """Hold a driver or application, or release it. Raises NotFound, NotAuthorized, Refused."""
        answer = self._ask(HoldJob(request=0, id=job_id, hold=hold), by)
        if not isinstance(answer, Accepted):
            raise ProtocolError(f"a hold was answered with {type(answer).__name__}")
        return answer.text

    def update(self, job_id: str, change: JobChange, by: Asker) -> str:
        """Change a driver or application. Raises NotFound, NotAuthorized, Refused."""
        answer = self._ask(UpdateJob(request=0, id=job_id, change=change), by)
        if not isinstance(answer, Accepted):
            raise ProtocolError(f"a change was answered with {type(answer).__name__}")
        return answer.text

    def drain(self, worker_id: str, by: Asker, *, drain: bool, reason: str = "", deadline: float = 0.0) -> str:
        """Drain a worker, or end that; return a text for users. ``deadline`` in seconds from now, 0: none. Raises NotFound,
        Refused, and ValueError for an invalid reason or deadline."""
        self._ask(DrainWorkers(request=0, workers=(worker_id,), drain=drain, reason=reason, deadline=deadline), by)
        return f"{worker_id} is draining" if drain else f"{worker_id} gets jobs again"

    def submit(self, driver: DriverDescription, by: Asker) -> str:
        """Submit a driver; return its id, once it is recorded. Raises Refused."""
        if reason := self._too_large(driver):
            raise Refused(reason)
        answer = self._ask(SubmitDriver(request=0, token=secrets.token_hex(16), driver=driver), by)
        if not isinstance(answer, Submitted):
            raise ProtocolError(f"a submission was answered with {type(answer).__name__}")
        return answer.driver_id

    def dry_run(self, driver: DriverDescription, by: Asker) -> DryRunResult:
        """Return what submitting the driver would do now. Raises Refused where that would be refused."""
        if reason := self._too_large(driver):
            raise Refused(reason)
        answer = self._ask(DryRun(request=0, driver=driver), by)
        if not isinstance(answer, DryRunResult):
            raise ProtocolError(f"a dry run was answered with {type(answer).__name__}")
        return answer

    def what_if(self, wanted: WhatIf, by: Asker) -> tuple[float, Answer]:
        """Return the time of the forecast (seconds since the Unix epoch) and when what waits would start. Raises UsageError
        and Refused as ``Forecaster.ask``."""
        scheduling = self._ask(GetScheduling(request=0), by)
        if not isinstance(scheduling, Scheduling):
            raise ProtocolError(f"a question was answered with {type(scheduling).__name__}")
        question = Question(cluster=self.snapshot(), scheduling=scheduling, what_if=wanted)
        return scheduling.at, self._forecaster.ask(question)

    def status(self, job_id: str) -> DriverView | AppView:
        """Return the present view of a driver or application. Raises NotFound, Refused."""
        answer = self._ask(GetStatus(request=0, id=job_id), _NOBODY)
        view = (answer.driver or answer.app) if isinstance(answer, Status) else None
        if view is None:
            raise NotFound(f"There is no driver or application {job_id[:80]}")
        return view

    def kill_drivers(self, by: Asker) -> int:
        """Request the kill of all drivers; return their number. Raises Refused."""
        count = 0

        def handle(peer: bytes) -> None:
            nonlocal count
            drivers = list(self._core.ctx.books.drivers)
            count = len(drivers)
            for driver_id in drivers:
                self._hand_over(NO_ANSWER, KillJob(request=0, id=driver_id), by)
            self._hand_over(peer, GetStatus(request=0), by)

        self._internal.ask(lambda peer: self._unless_waiting(peer, handle))
        return count

    def clear_completed(self) -> None:
        """Forget the drivers and applications that have ended. Raises Refused."""

        def handle(peer: bytes) -> None:
            self._core.clear_completed(read_clock())
            self._hand_over(peer, GetStatus(request=0), _NOBODY)

        self._internal.ask(lambda peer: self._unless_waiting(peer, handle))

    def _ask(self, message: ToMaster, by: Asker) -> Message:
        """Return the core's answer, as a client would get it: after the durable write of its batch. Raises Refused while
        this master pauses."""
        return self._internal.ask(
            lambda peer: self._unless_waiting(peer, lambda peer: self._hand_over(peer, message, by))
        )

    def _unless_waiting(self, peer: bytes, handle: Callable[[bytes], None]) -> None:
        self._view_until = 0.0  # the next view must show the change
        if self._pause.reason:
            self._internal.take(peer, Failed(request=0, reason=self._pause.reason))
        else:
            handle(peer)

    def _hand_over(self, peer: bytes, message: ToMaster, by: Asker) -> None:
        role = Role.ADMIN if by.is_admin else Role.CLIENT
        # The key is none that a client can have: with a master of release 0.1.0 such a job is for admins.
        event = Received(peer, f"http:{by.principal}", role, message, principal=by.principal, door=by.door)
        self._core.handle(event, read_clock())
