"""The Python API of a submitter::

    with Client("spark://h:7077") as client:
        driver_id = client.submit("etl.py", "2026-01-31", memory="2g", supervise=True)
        for piece in client.follow(driver_id):
            sys.stdout.buffer.write(piece)
        print(client.wait(driver_id).state)

It sends and receives in the caller's thread only, and survives the restart of a master at every point.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, overload

from stoker.client.logs.follower import Agenda, follow, stream_of
from stoker.client.logs.jobs import PolledExecutor, WatchedDriver
from stoker.client.logs.read import Target, attempt_of, parse_target, read_all
from stoker.client.session.pages import read_cluster
from stoker.client.session.session import TIMEOUT, Session
from stoker.client.submit.sources import FileIndex
from stoker.client.submit.submission import DriverOptions, describe, options_of
from stoker.client.submit.submitting import BulkSubmission, Uploads, WatchedSubmission, check_array, check_size
from stoker.config.client import ClientConfig, client_config, doubts
from stoker.config.types import parse_time_limit
from stoker.core.model.changes import JobChange
from stoker.core.model.messages import (
    Accepted,
    DrainWorkers,
    DryRun,
    DryRunResult,
    ForgetWorkers,
    GetScheduling,
    GetStatus,
    HoldJob,
    KillJob,
    Scheduling,
    Status,
    Stream,
    SubmitDriver,
    Submitted,
    UpdateJob,
    Workers,
)
from stoker.core.model.states import Role
from stoker.core.model.values import ApplicationDescription, Door, DriverDescription
from stoker.core.model.views import AppView, ClusterView, DriverView, WorkerView
from stoker.errors import ProtocolError, UsageError
from stoker.security.keys import Keys

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Client:
    """A connection to a cluster: submits programs, watches and kills them, reads their output. Not thread-safe.

    ``masters`` is a ``spark://`` URL; None: found as commands find it (MASTER, ``spark-env``, the client profile).
    ``timeout`` is how many seconds a call waits for a leading master before it raises Unreachable. ``notice`` is called with
    a line for the user when that takes long, when output was lost, or when a property has no effect. ``door`` says how a
    kill or a drain was requested.

    Raises ConfigError for missing keys or malformed settings. Every method raises Unreachable without a leading master,
    NotAuthorized when the key is not admitted, and Refused or NotFound with the cluster's reason.
    """

    def __init__(
        self,
        masters: str | None = None,
        *,
        config: ClientConfig | None = None,
        role: Role = Role.CLIENT,
        timeout: float = TIMEOUT,
        notice: Callable[[str], None] | None = None,
        door: Door = "python",
    ) -> None:
        self.door: Door = door
        self.config: ClientConfig = config or client_config(argparse.Namespace(master=masters), os.environ)
        keys = Keys.open(self.config.keys_dir, create=None) if self.config.authenticate else None
        self._notice = notice
        self.session: Session = Session(self.config.masters, keys=keys, role=role, timeout=timeout, notice=notice)
        self.book: FileIndex = FileIndex(lambda path, size: check_size(self.session, path, size))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Submitted programs keep running."""
        self.session.close()

    # --- submitting --------------------------------------------------------------------------------------------------

    def describe(self, app: str | os.PathLike[str], *args: str, **options: Unpack[DriverOptions]) -> DriverDescription:
        """Describe a program, for ``submit_many``, ``submit_watched`` and repeated submissions. Nothing is submitted.

        ``app`` is a path on this machine or a URL, ``args`` are the program's arguments; the keywords are those of
        ``DriverOptions``. Raises UsageError and ConfigError for a missing file, a malformed option or property.
        Before it reads a file of more than 64 MiB it asks the master for its limit: that raises Refused for a larger file,
        and Unreachable without a master.
        """
        if self._notice is not None:
            for doubt in doubts(options.get("conf") or (), "conf"):
                self._notice(f"warning: {doubt}")
        return describe(options_of(app, args, options), self.config, self.book)

    @overload
    def submit(self, app: DriverDescription, /) -> str: ...

    @overload
    def submit(self, app: str | os.PathLike[str], /, *args: str, **options: Unpack[DriverOptions]) -> str: ...

    def submit(
        self, app: str | os.PathLike[str] | DriverDescription, /, *args: str, **options: Unpack[DriverOptions]
    ) -> str:
        """Submit a program (arguments and keywords as for ``describe``) or a description; return the submission id.

        Uploads its files first. Raises UsageError and ConfigError as ``describe`` does, and Refused when the master does not
        accept it.
        """
        if not isinstance(app, DriverDescription):
            app = self.describe(app, *args, **options)
        elif args or options:
            raise TypeError("a DriverDescription is complete: give arguments and options to describe()")
        driver = app
        message = SubmitDriver(request=0, token=os.urandom(16).hex(), driver=driver)
        uploads = Uploads(self.session, self.book)
        while not isinstance(answer := self.session.call(message), Submitted):
            uploads.send([answer])
        check_array(self.session, driver, answer, self.door)
        return answer.driver_id

    def submit_watched(self, driver: DriverDescription) -> WatchedDriver:
        """Submit, and receive every change of the driver from then on. ``follow`` and ``wait`` take the result: the quickest
        way to the driver's output and end. Raises Refused when the master does not accept it."""
        message = SubmitDriver(request=0, token=os.urandom(16).hex(), driver=driver, watch=True)
        uploads = Uploads(self.session, self.book)
        while True:
            submission = WatchedSubmission(self.session, message)
            self.session.wait(submission.is_answered)
            if submission.driver is not None and submission.answer is not None:
                check_array(self.session, driver, submission.answer, self.door)
                return submission.driver
            assert submission.refusal is not None
            uploads.send([self.session.checked(submission.refusal)])

    def submit_many(self, drivers: Iterable[DriverDescription]) -> list[str]:
        """Submit all, many at a time; return the ids in the same order. Raises Refused at the first that the master does not
        accept; those before it are submitted."""
        return BulkSubmission(self.session, list(drivers), Uploads(self.session, self.book)).run()

    def dry_run(self, job: DriverDescription | ApplicationDescription) -> DryRunResult:
        """Ask what submitting this driver, or registering this application, would do now. Nothing is submitted, uploaded or
        recorded. Raises Refused with the reason for which the submission would be refused."""
        message = DryRun(request=0, driver=job) if isinstance(job, DriverDescription) else DryRun(request=0, app=job)
        answer = self.session.call(message)
        if not isinstance(answer, DryRunResult):
            raise ProtocolError(f"the master answered a dry run with {type(answer).__name__}")
        return answer

    def scheduling(self) -> Scheduling:
        """Return how the master decides what starts when: for a forecast."""
        answer = self.session.call(GetScheduling(request=0))
        if not isinstance(answer, Scheduling):
            raise ProtocolError(f"the master answered a question about its scheduling with {type(answer).__name__}")
        return answer

    # --- status -----------------------------------------------------------------------------------------------

    def cluster(self) -> ClusterView:
        """Return the cluster's workers, drivers and applications, as the leading master has them."""
        return read_cluster(self.session)

    def status(self, job_id: str) -> DriverView | AppView | WorkerView:
        """Return the driver, application or worker with this id. Raises NotFound."""
        answer = self.session.call(GetStatus(request=0, id=job_id))
        if not isinstance(answer, Status):
            raise ProtocolError(f"the master answered a status question with {type(answer).__name__}")
        view = answer.driver or answer.app or answer.worker
        if view is None:
            raise ProtocolError(f"the master answered a question about {job_id} with something else")
        return view

    def kill(self, job_id: str) -> str:
        """Have a driver or application killed; return the master's answer. Raises NotFound when it has ended already."""
        answer = self.session.call(KillJob(request=0, id=job_id, door=self.door))
        if not isinstance(answer, Accepted):
            raise ProtocolError(f"the master answered a request to kill {job_id} with {type(answer).__name__}")
        return answer.text

    def hold(self, job_id: str) -> str:
        """Hold a driver or application: it is not started, or gets no further executors, until it is released; return the
        master's answer. Raises NotFound when it has ended already, and NotAuthorized."""
        return self._changed(HoldJob(request=0, id=job_id, hold=True, door=self.door))

    def release(self, job_id: str) -> str:
        """Let a held driver or application go on; return and raise as ``hold`` does."""
        return self._changed(HoldJob(request=0, id=job_id, hold=False, door=self.door))

    def update(
        self, job_id: str, *, pool: str = "", priority: int | None = None, time_limit: str | float | None = None
    ) -> str:
        """Change a driver or application: its pool, its priority, its time limit ("2h", "none", or seconds). Who submitted it
        may lower the priority and shorten the limit; an operator of its pool and an admin may do all of it. Return and raise
        as ``hold`` does; raises Refused with the reason when one of the values is refused: then nothing has changed, and
        UsageError for a malformed one."""
        limit = 0.0 if time_limit == "none" else time_limit
        if isinstance(limit, str):
            limit = parse_time_limit(limit)
        try:
            change = JobChange(pool=pool, priority=priority, time_limit=limit)
        except ValueError as error:
            raise UsageError(str(error)) from None
        return self._changed(UpdateJob(request=0, id=job_id, change=change, door=self.door))

    def _changed(self, message: HoldJob | UpdateJob) -> str:
        answer = self.session.call(message)
        if not isinstance(answer, Accepted):
            raise ProtocolError(f"the master answered a request for {message.id} with {type(answer).__name__}")
        return answer.text

    # --- workers -----------------------------------------------------------------------------------------------------

    def drain(
        self, workers: Sequence[str], drain: bool = True, *, reason: str = "", deadline: float = 0.0
    ) -> tuple[WorkerView, ...]:
        """Drain workers: place no new work on them. With ``drain=False``, place work on them again. ``reason`` is shown.
        What still runs there ``deadline`` seconds from now (0: never) is stopped: supervised drivers and executors start
        again elsewhere, other drivers end as KILLED.

        ``workers`` are ids, HOST or HOST:PORT; returns their views. Needs the admin role. Raises NotFound, and changes
        nothing, if one of them is unknown."""
        try:
            message = DrainWorkers(
                request=0, workers=tuple(workers), drain=drain, door=self.door, reason=reason, deadline=deadline
            )
        except ValueError as error:
            raise UsageError(str(error)) from None
        return self._workers(message)

    def forget(self, workers: Sequence[str]) -> tuple[WorkerView, ...]:
        """Remove lost workers from the list; return their views. Needs the admin role. Raises NotFound for an unknown
        worker, and Refused while one of them may come back."""
        return self._workers(ForgetWorkers(request=0, workers=tuple(workers)))

    def worker(self, worker_id: str) -> WorkerView:
        """Return the worker with this id, or the one that has been started in its place since. Raises NotFound."""
        view = self.status(worker_id)
        if not isinstance(view, WorkerView):
            raise ProtocolError(f"the master answered a question about {worker_id} with something else")
        return view

    def _workers(self, message: DrainWorkers | ForgetWorkers) -> tuple[WorkerView, ...]:
        answer = self.session.call(message)
        if not isinstance(answer, Workers):
            raise ProtocolError(f"the master answered {type(message).__name__} with {type(answer).__name__}")
        return answer.workers

    def wait(self, driver: str | WatchedDriver, timeout: float | None = None) -> DriverView:
        """Wait until the driver has ended; return its last view. Raises TimeoutError after ``timeout`` seconds."""
        driver = self._watched(driver)
        end = math.inf if timeout is None else time.monotonic() + timeout
        follow(self.session, Agenda(driver), lambda: driver.is_over or time.monotonic() >= end, look_at=end)
        if driver.failure is not None:
            raise driver.failure
        if driver.view is None or not driver.view.state.is_final:
            raise TimeoutError(f"{driver.id} has not ended after {timeout:g} s")
        return driver.view

    # --- output ------------------------------------------------------------------------------------------------------

    def read_log(self, target: str, stream: Stream = "stdout", *, offset: int = 0, attempt: int = 0) -> bytes:
        """Return what ``driver-...`` or ``app-.../EXECUTOR`` has written so far, from byte ``offset`` (negative: from the
        end). With ``attempt`` > 0 only what that attempt of the driver wrote; else all that the worker of its latest attempt
        has. Raises Refused when it cannot be read.

        Offsets count from the first byte that was ever written; ``notice`` gets a line when some were removed since.
        """
        wanted = attempt_of(_one(target), attempt)
        windows = read_all(self.session, wanted, stream, offset=offset, notice=self._notice)
        return b"".join(window.data for window in windows)

    def follow(self, target: str | WatchedDriver, stream: Stream = "stdout") -> Iterator[bytes]:
        """Yield the same output while it is written, to its end: of a driver that has not started yet, too, and over all its
        attempts."""
        if isinstance(target, WatchedDriver):
            return stream_of(self.session, target, stream, notice=self._notice)
        wanted = _one(target)
        if wanted.executor_id == -1:
            return stream_of(self.session, self._watched(wanted.id), stream, notice=self._notice)
        assert wanted.executor_id is not None
        executor = PolledExecutor(self.session, wanted.id, wanted.executor_id)
        return stream_of(self.session, executor, stream, notice=self._notice)

    def _watched(self, driver: str | WatchedDriver) -> WatchedDriver:
        if isinstance(driver, str):
            driver = WatchedDriver(self.session, driver)
            driver.watch()
        return driver


def _one(text: str) -> Target:
    target = parse_target(text)
    return target if target.executor_id is not None else Target(target.id, 0)
