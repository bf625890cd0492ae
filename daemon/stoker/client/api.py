"""The Python API of a submitter::

    with Client("spark://h:7077") as client:
        driver_id = client.submit("etl.py", "2026-01-31", memory="2g", supervise=True)
        for piece in client.follow(driver_id):
            sys.stdout.buffer.write(piece)
        print(client.wait(driver_id).state)

It talks in the caller's thread only, and survives the restart of a master at every point.
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
from stoker.client.logs.read import Target, parse_target, read_all
from stoker.client.session.session import TIMEOUT, Session
from stoker.client.submit.sources import FileIndex
from stoker.client.submit.submission import DriverOptions, describe, options_of
from stoker.client.submit.submitting import BulkSubmission, Uploads, WatchedSubmission
from stoker.config.client import ClientConfig, client_config
from stoker.core.model.messages import (
    Accepted,
    DrainWorkers,
    ForgetWorkers,
    GetStatus,
    KillJob,
    Status,
    Stream,
    SubmitDriver,
    Submitted,
    Workers,
)
from stoker.core.model.states import Role
from stoker.core.model.values import DriverDescription
from stoker.core.model.views import AppView, ClusterView, DriverView, WorkerView
from stoker.errors import ProtocolError
from stoker.security.keys import Keys

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Client:
    """A connection to a cluster. ``masters`` is a ``spark://`` URL (None: what the environment names, as for the commands),
    ``timeout`` how long (seconds) there may be no leading master, ``notice`` is given a line when that takes long
    or output was lost.

    All methods raise Unreachable, NotAuthorized, and Refused or NotFound in the cluster's words. Not thread-safe.
    """

    def __init__(
        self,
        masters: str | None = None,
        *,
        config: ClientConfig | None = None,
        role: Role = Role.CLIENT,
        timeout: float = TIMEOUT,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self.config: ClientConfig = config or client_config(argparse.Namespace(master=masters), os.environ)
        keys = Keys.open(self.config.keys_dir, create=None) if self.config.authenticate else None
        self._notice = notice
        self.session: Session = Session(self.config.masters, keys=keys, role=role, timeout=timeout, notice=notice)
        self.book: FileIndex = FileIndex()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.session.close()

    # --- submitting --------------------------------------------------------------------------------------------------

    def describe(self, app: str | os.PathLike[str], *args: str, **options: Unpack[DriverOptions]) -> DriverDescription:
        """Describe a program as ``submit`` would submit it: for ``submit_many``, ``submit_watched`` and repeated submissions.

        ``app`` is a path here or a URL, ``args`` are the program's arguments; the keywords are those of ``DriverOptions``.
        Raises UsageError and ConfigError for what is malformed or missing.
        """
        return describe(options_of(app, args, options), self.config, self.book)

    @overload
    def submit(self, app: DriverDescription, /) -> str: ...

    @overload
    def submit(self, app: str | os.PathLike[str], /, *args: str, **options: Unpack[DriverOptions]) -> str: ...

    def submit(
        self, app: str | os.PathLike[str] | DriverDescription, /, *args: str, **options: Unpack[DriverOptions]
    ) -> str:
        """Submit a program (arguments and keywords as of ``describe``) or a description; return the submission id.

        The files it needs are uploaded first. Raises UsageError and ConfigError as ``describe`` does, and Refused when the
        master does not accept it.
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
        return answer.driver_id

    def submit_watched(self, driver: DriverDescription) -> WatchedDriver:
        """Submit, and be told of every change from then on: the quickest way to the driver's output and end, with
        ``follow`` and ``wait``."""
        message = SubmitDriver(request=0, token=os.urandom(16).hex(), driver=driver, watch=True)
        uploads = Uploads(self.session, self.book)
        while True:
            submission = WatchedSubmission(self.session, message)
            self.session.wait(submission.is_answered)
            if submission.driver is not None:
                return submission.driver
            assert submission.refusal is not None
            uploads.send([self.session.checked(submission.refusal)])

    def submit_many(self, drivers: Iterable[DriverDescription]) -> list[str]:
        """Submit all, many at a time; the ids in the same order. When one is refused, those before it are submitted."""
        return BulkSubmission(self.session, list(drivers), Uploads(self.session, self.book)).run()

    # --- what is there -----------------------------------------------------------------------------------------------

    def cluster(self) -> ClusterView:
        answer = self._status("")
        if answer.cluster is None:
            raise ProtocolError("the master answered a question about the cluster with something else")
        return answer.cluster

    def status(self, job_id: str) -> DriverView | AppView | WorkerView:
        """Of a driver, an application or a worker, by id. Raises NotFound."""
        answer = self._status(job_id)
        view = answer.driver or answer.app or answer.worker
        if view is None:
            raise ProtocolError(f"the master answered a question about {job_id} with something else")
        return view

    def _status(self, job_id: str) -> Status:
        answer = self.session.call(GetStatus(request=0, id=job_id))
        if not isinstance(answer, Status):
            raise ProtocolError(f"the master answered a status question with {type(answer).__name__}")
        return answer

    def kill(self, job_id: str) -> str:
        """Ask for the end of a driver or application; the master's answer. Raises NotFound when it is over already."""
        answer = self.session.call(KillJob(request=0, id=job_id))
        if not isinstance(answer, Accepted):
            raise ProtocolError(f"the master answered a request to kill {job_id} with {type(answer).__name__}")
        return answer.text

    # --- workers -----------------------------------------------------------------------------------------------------

    def drain(self, workers: Sequence[str], drain: bool = True) -> tuple[WorkerView, ...]:
        """Have workers (ids, HOST or HOST:PORT) get nothing new, or let them work again; as they are then. Needs the admin
        role. Raises NotFound, and changes nothing, if one of them is not known."""
        return self._workers(DrainWorkers(request=0, workers=tuple(workers), drain=drain))

    def forget(self, workers: Sequence[str]) -> tuple[WorkerView, ...]:
        """Take workers that are gone off the list. Needs the admin role. Raises NotFound, and Refused while one may come
        back."""
        return self._workers(ForgetWorkers(request=0, workers=tuple(workers)))

    def worker(self, worker_id: str) -> WorkerView:
        """The worker of that id, or the one that was started in its place since. Raises NotFound."""
        answer = self._status(worker_id)
        if answer.worker is None:
            raise ProtocolError(f"the master answered a question about {worker_id} with something else")
        return answer.worker

    def _workers(self, message: DrainWorkers | ForgetWorkers) -> tuple[WorkerView, ...]:
        answer = self.session.call(message)
        if not isinstance(answer, Workers):
            raise ProtocolError(f"the master answered {type(message).__name__} with {type(answer).__name__}")
        return answer.workers

    def wait(self, driver: str | WatchedDriver, timeout: float | None = None) -> DriverView:
        """Until the driver is over; its last view. Raises TimeoutError after ``timeout`` seconds."""
        driver = self._watched(driver)
        end = math.inf if timeout is None else time.monotonic() + timeout
        follow(self.session, Agenda(driver), lambda: driver.is_over or time.monotonic() >= end, look_at=end)
        if driver.failure is not None:
            raise driver.failure
        if driver.view is None or not driver.view.state.is_final:
            raise TimeoutError(f"{driver.id} is not over after {timeout:g} s")
        return driver.view

    # --- output ------------------------------------------------------------------------------------------------------

    def read_log(self, target: str, stream: Stream = "stdout", *, offset: int = 0) -> bytes:
        """What ``driver-...`` or ``app-.../EXECUTOR`` has written by now, from ``offset`` (bytes; negative: from the end).

        Offsets count from the first byte that was ever written; ``notice`` is given a line when some were removed.
        """
        windows = read_all(self.session, _one(target), stream, offset=offset, notice=self._notice)
        return b"".join(window.data for window in windows)

    def follow(self, target: str | WatchedDriver, stream: Stream = "stdout") -> Iterator[bytes]:
        """The same as it is written, to the very end: also of a driver that has not started yet, over all its attempts."""
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
