"""All wire messages, grouped by direction. Read this first: it is the vocabulary of the cluster.

Rules
* Every command of a master carries its ``epoch``; workers refuse lower ones (docs/protocol.md).
* The asker chooses a ``request`` number, unique on its connection; the answer returns it.
* The worker acts and reports, the master books: a kill is done when the worker reports the end.
* State reports are repeated until acknowledged; the master acknowledges after its durable write.
* Messages may gain fields with defaults (unknown fields are skipped), so peers one release apart understand each other
  (docs/protocol.md). Removing or retyping a field needs a new ``wire.codec.PROTOCOL``.
"""

# Annotations stay values: kept as text (`from __future__ import annotations`), msgspec would have to compile each of
# them before the first message.

from typing import Literal

import msgspec

from stoker.core.model.changes import JobChange
from stoker.core.model.policy import Policy
from stoker.core.model.pools import PastUse, Pools
from stoker.core.model.profiles import Profile
from stoker.core.model.resources import Addresses
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, Role
from stoker.core.model.values import (
    HIGHEST_EXECUTOR_ID,
    UNLIMITED,
    ApplicationDescription,
    DrainMark,
    DriverDescription,
    DriverReport,
    ExecutorReport,
    Exit,
    Unfit,
)
from stoker.core.model.views import AppView, ClusterView, DriverView, ExecutorView, WorkerView

Stream = Literal["stdout", "stderr"]
MOST_REASON = 200  # characters
MOST_DEADLINE = 366 * 86400.0  # seconds


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="type", omit_defaults=True, gc=False):
    """Base of all messages; the class name is the tag on the wire. Messages, values and records cannot be part of a cycle,
    so the garbage collector need not scan them: a large cluster has millions."""


# --- worker -> master ----------------------------------------------------------------------------------------------


class RegisterWorker(Message, frozen=True):
    """First message of a worker, repeated after every reconnection: its identity, and all jobs that run or whose end was
    not acknowledged."""

    worker_id: str
    boot: str  # nonce of this start of the daemon
    host: str
    port: int
    cores: int
    memory_mib: int
    webui_url: str = ""
    version: str = ""
    highest_epoch: int = 0
    drivers: tuple[DriverReport, ...] = ()
    executors: tuple[ExecutorReport, ...] = ()
    drain: DrainMark = DrainMark()  # the latest it received
    heir_of: tuple[str, ...] = ()  # ids of earlier daemons whose keeper this is, or whose keeper's journal it has: all
    # drivers that they started are reported, or are among ``lost`` (id and attempt): nobody saw how these ended
    lost: tuple[tuple[str, int], ...] = ()
    resources: Addresses = ()  # named ones that it offers, as GPUs
    unfit: tuple[Unfit, ...] = ()  # what is wrong with its host: nothing new is to be placed there
    seal: str = ""  # of its id, from an earlier ``RegisteredWorker``
    limits: str = ""  # for people: whether it limits and measures its jobs, and how
    run_as: str = ""  # for people: which accounts its jobs run as


class WorkerHeartbeat(Message, frozen=True):
    worker_id: str
    keeper_release: str = ""  # that of the worker's keeper, if it is another than the worker's
    unfit: tuple[Unfit, ...] = ()  # as in ``RegisterWorker``; also sent at once when it changes
    users_fault: str = ""  # for people: what is wrong with ``users.yml`` while the one before the fault is obeyed


class WorkerLeaving(Message, frozen=True):
    """The daemon is about to stop. ``keeping``: it restarts, and its processes continue meanwhile; else it stops its
    processes and does not come back."""

    worker_id: str
    keeping: bool


class DriverStateChanged(Message, frozen=True):
    worker_id: str
    driver_id: str
    attempt: int
    state: DriverState  # RUNNING, or a final state
    pid: int = 0
    exit: Exit = Exit()
    account: str = ""  # as in ``DriverReport``


class ExecutorStateChanged(Message, frozen=True):
    worker_id: str
    app_id: str
    executor_id: int
    state: ExecutorState  # RUNNING, or a final state
    pid: int = 0
    exit: Exit = Exit()
    account: str = ""  # as in ``ExecutorReport``


class FetchBlob(Message, frozen=True):
    """Ask for ``limit`` bytes of an uploaded file; answered by ``BlobData``."""

    request: int
    sha256: str
    offset: int
    limit: int


# --- master -> worker ----------------------------------------------------------------------------------------------


class RegisteredWorker(Message, frozen=True):
    epoch: int
    worker_id: str
    master_url: str
    webui_url: str = ""
    heartbeat_interval: float = 15.0  # seconds
    masters: tuple[str, ...] = ()  # all known masters, HOST:PORT, the leader first
    seal: str = ""  # proves that this id was registered with this worker's key (ADR 23)


class RegisterWorkerFailed(Message, frozen=True):
    epoch: int
    reason: str


class Reconnect(Message, frozen=True):
    """Register (again): the master does not know this peer, or it was a standby and leads now. To workers and
    applications."""

    epoch: int


class SetDrain(Message, frozen=True):
    """Keep this mark and report it with each registration: a master without records learns it from there."""

    epoch: int
    drain: DrainMark


class MastersChanged(Message, frozen=True):
    """Masters were added or removed; ``masters`` are all current ones, HOST:PORT, the leader first. To registered workers
    and applications, so that they know where to connect when the leader fails."""

    epoch: int
    masters: tuple[str, ...]


class LaunchDriver(Message, frozen=True):
    epoch: int
    driver_id: str
    attempt: int
    driver: DriverDescription
    principal: str | None = None  # whose it is; to be kept and reported. None: from a master of release 0.1.0
    seal: str = ""  # to be kept and reported: it shows that a master has launched this (core.master.vouching)
    resources: Addresses = ()  # that it holds until it has ended
    secret: str = ""  # of its Spark; the master's shell adds it on the way to the worker. It is kept nowhere (ADR 33)


class KillDriver(Message, frozen=True):
    epoch: int
    driver_id: str
    attempt: int


class LaunchExecutor(Message, frozen=True):
    epoch: int
    app_id: str
    executor_id: int
    cores: int
    memory_mib: int
    app: ApplicationDescription
    principal: str | None = None  # as in ``LaunchDriver``; that of the application
    seal: str = ""  # as in ``LaunchDriver``
    resources: Addresses = ()  # as in ``LaunchDriver``
    secret: str = ""  # likewise


class KillExecutor(Message, frozen=True):
    epoch: int
    app_id: str
    executor_id: int


class ApplicationFinished(Message, frozen=True):
    """The application has ended: the local directories of its executors may be removed."""

    epoch: int
    app_id: str


class DriverStateAck(Message, frozen=True):
    """The final state of this attempt is in the master's books; the worker may forget it."""

    epoch: int
    driver_id: str
    attempt: int


class ExecutorStateAck(Message, frozen=True):
    epoch: int
    app_id: str
    executor_id: int


class BlobData(Message, frozen=True):
    """Answer to ``FetchBlob``. ``size`` is that of the whole file; ``error`` says why there is no data."""

    request: int
    sha256: str
    offset: int
    size: int = 0
    data: bytes = b""
    error: str = ""


# --- application -> master -----------------------------------------------------------------------------------------


class RegisterApplication(Message, frozen=True):
    """Register an application. ``app_id`` is empty the first time; after a reconnection it names the application. The
    client chooses ``token`` once, so that a repeated first registration does not make a second application."""

    request: int
    token: str
    app: ApplicationDescription
    app_id: str = ""
    highest_executor_id: int = -1  # the highest that the application has received: ids are never used twice
    ended: tuple[ExecutorView, ...] = ()  # of a returning finite application: executors that used up its share

    def __post_init__(self) -> None:
        # There must be room for later executors below the largest id.
        if not -1 <= self.highest_executor_id <= HIGHEST_EXECUTOR_ID:
            raise ValueError(f"{self.highest_executor_id} is not the id of an executor")
        for view in self.ended:
            if not (
                0 <= view.id <= HIGHEST_EXECUTOR_ID
                and 0 <= view.cores <= UNLIMITED
                and 0 <= view.memory_mib <= UNLIMITED
            ):
                raise ValueError(f"executor {view.id} cannot have {view.cores} cores and {view.memory_mib} MiB")


class UnregisterApplication(Message, frozen=True):
    request: int
    app_id: str
    state: ApplicationState = ApplicationState.FINISHED
    reason: str = ""


class ApplicationHeartbeat(Message, frozen=True):
    app_id: str


class RequestExecutors(Message, frozen=True):
    """Set the number of executors wanted (dynamic allocation, spec 10.4). Lowering it kills none."""

    request: int
    app_id: str
    executor_limit: int  # of the default profile
    profiles: tuple[Profile, ...] = ()  # all others; one that is left out wants no more executors


class KillExecutors(Message, frozen=True):
    request: int
    app_id: str
    executor_ids: tuple[int, ...]


# --- master -> application -----------------------------------------------------------------------------------------


class RegisteredApplication(Message, frozen=True):
    request: int
    app_id: str
    master_url: str
    epoch: int
    heartbeat_interval: float = 15.0  # seconds
    masters: tuple[str, ...] = ()  # all known masters, HOST:PORT, the leader first


class ExecutorAdded(Message, frozen=True):
    app_id: str
    executor_id: int
    worker_id: str
    host: str
    cores: int
    memory_mib: int


class ExecutorUpdated(Message, frozen=True):
    app_id: str
    executor_id: int
    state: ExecutorState
    exit: Exit = Exit()
    worker_lost: bool = False


class ApplicationRemoved(Message, frozen=True):
    app_id: str
    state: ApplicationState
    reason: str = ""


# --- client -> master ----------------------------------------------------------------------------------------------


class SubmitDriver(Message, frozen=True):
    """Submit a driver. The client chooses ``token`` once: a repeated request returns the same driver, not a second one."""

    request: int
    token: str
    driver: DriverDescription
    watch: bool = False  # also send DriverUpdate on every change, as WatchDriver does


class DryRun(Message, frozen=True):
    """Ask what submitting a driver, or registering an application, would do now; exactly one is set. Nothing is recorded.
    Answered by ``DryRunResult``, or by ``Failed`` where the submission would be refused."""

    request: int
    driver: DriverDescription | None = None
    app: ApplicationDescription | None = None


class GetScheduling(Message, frozen=True):
    """Ask for what, besides the cluster's status, decides what starts when. Answered by ``Scheduling``."""

    request: int


class KillJob(Message, frozen=True):
    """Kill a driver or an application by its id. Answered by ``Accepted`` (or ``Failed``)."""

    request: int
    id: str
    door: str = ""  # cli, python or playbook: how the client was called, for people


class HoldJob(Message, frozen=True):
    """Hold a driver or an application: it is not started, and gets no further executors, until it is released (``hold``
    False). What runs goes on. Answered by ``Accepted`` (or ``Failed``)."""

    request: int
    id: str
    hold: bool
    door: str = ""  # as in ``KillJob``


class UpdateJob(Message, frozen=True):
    """Change the pool, the priority or the time limit of a driver or an application. Answered by ``Accepted`` (or
    ``Failed``)."""

    request: int
    id: str
    change: JobChange
    door: str = ""  # as in ``KillJob``


class GetStatus(Message, frozen=True):
    """Ask for the status of the cluster (``id`` empty), a driver, an application or a worker; answered by ``Status``. The
    cluster comes in pages if ``rows`` is set: all show it as it was when the first was asked for. A ``page`` that the master
    does not have (now) is answered by ``Failed`` with code "not-found": ask for the first again."""

    request: int
    id: str = ""
    rows: int = 0  # most workers, drivers and applications of an answer; 0: all
    page: str = ""  # ``Status.next`` of the page before; empty: the first


def check_drain(reason: str, deadline: float) -> None:
    """Raise ValueError for an invalid reason of a drain, or an invalid deadline (seconds from now)."""
    if len(reason) > MOST_REASON or not reason.isprintable():
        raise ValueError(f"a drain's reason must be one line of at most {MOST_REASON} characters")
    if not 0 <= deadline <= MOST_DEADLINE:
        raise ValueError(f"a drain's deadline must be between 0 and {MOST_DEADLINE:.0f} s")


class DrainWorkers(Message, frozen=True):
    """Drain workers: place no new jobs on them (``drain``), or end that. ``workers`` are ids, HOST (all known workers
    there) or HOST:PORT. Answered by ``Workers``, or by ``Failed`` if one is unknown; then nothing has changed."""

    request: int
    workers: tuple[str, ...]
    drain: bool
    door: str = ""  # as in ``KillJob``
    reason: str = ""  # for people
    deadline: float = 0.0  # seconds from now, after which what runs there is stopped; 0: never

    def __post_init__(self) -> None:
        check_drain(self.reason, self.deadline)


class ForgetWorkers(Message, frozen=True):
    """Remove workers that are not connected from the list; named and answered as in ``DrainWorkers``."""

    request: int
    workers: tuple[str, ...]


class WatchDriver(Message, frozen=True):
    """Send ``DriverUpdate`` now and on every change until it is final or the connection closes."""

    request: int
    driver_id: str


class ReadLog(Message, frozen=True):
    """Read part of a driver's or executor's output; passed on to its worker; answered by ``LogData``.

    ``offset`` < 0 counts from the end. With ``wait`` > 0 (seconds) and no output yet, the answer is sent when there is
    output, when the process has ended, or after ``wait``.

    With ``find`` the output is searched instead, ignoring the case of ASCII letters: for the first match at ``offset`` or
    later, with ``backwards`` for the last match before it. One answer covers a part; ``LogData.searched`` says how much.

    With ``attempt`` > 0 only what that attempt of a driver wrote, on the worker where it ran; else all that the worker of
    the latest attempt has.
    """

    request: int
    id: str  # driver-... or app-...
    stream: Stream
    executor_id: int = -1
    offset: int = 0  # bytes
    limit: int = 65536  # bytes
    wait: float = 0.0
    find: str = ""
    backwards: bool = False
    attempt: int = 0


class UploadChunk(Message, frozen=True):
    """A piece of a file, in order. The first (``offset`` 0) starts or restarts the upload. After the last, the master checks
    the hash and makes the file durable. Each chunk is answered by ``UploadStatus``."""

    request: int
    sha256: str
    size: int
    offset: int
    data: bytes


class FindMissingBlobs(Message, frozen=True, tag="ReadBlobs"):
    """Which of these uploads does the master lack? Answered by ``MissingBlobs``."""

    request: int
    sha256s: tuple[str, ...]


# --- master -> client ----------------------------------------------------------------------------------------------


class Submitted(Message, frozen=True):
    request: int
    driver_id: str
    text: str = ""
    tasks: int = 0  # of an array; 0: it is not one, or the master does not know arrays


class DryRunResult(Message, frozen=True):
    """``verdict``: it would start now, it would wait, or it can never run on this cluster as it is. The others say why, as
    ``stoker explain`` does."""

    request: int
    verdict: Literal["now", "wait", "never"]
    needs: str = ""
    refusals: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()


class Scheduling(Message, frozen=True):
    """How the master decides what starts when (core.forecast)."""

    request: int
    at: float  # by the master's clock, seconds since the Unix epoch
    policy: Policy
    pools: Pools
    usage: tuple[PastUse, ...] = ()  # decayed to ``at``
    principal: str = ""  # of the asker: what he submits would be charged to it


class Accepted(Message, frozen=True):
    """The request is done, or under way (a kill is done when the worker reports the end: watch the id)."""

    request: int
    text: str = ""


class Failed(Message, frozen=True):
    """The request was understood and refused; ``reason`` is one line for the user."""

    request: int
    reason: str
    code: Literal["refused", "not-found", "not-leader", "not-authorized", "bad-request"] = "refused"
    leader: str = ""  # HOST:PORT to ask instead, with code "not-leader"


class MissingBlobs(Message, frozen=True):
    """Upload these files, then ask again. Also the answer to a ``SubmitDriver`` if the master lacks some of its files.

    ``max_size``, in an answer to ``FindMissingBlobs``: bytes of the largest file that the master accepts. 0: unknown, from a
    master of release 0.1.0."""

    request: int
    sha256s: tuple[str, ...]
    max_size: int = 0


class UploadStatus(Message, frozen=True):
    """``received`` bytes have arrived; ``complete`` once the hash is checked and the file is durable."""

    request: int
    sha256: str
    received: int
    complete: bool = False


class Status(Message, frozen=True):
    """Exactly one of the four is set."""

    request: int
    cluster: ClusterView | None = None
    driver: DriverView | None = None
    app: AppView | None = None
    worker: WorkerView | None = None
    next: str = ""  # for ``GetStatus.page``; empty: this is the last page


class Workers(Message, frozen=True):
    """The workers named in a request, as they are after it (forgotten ones: as they were)."""

    request: int
    workers: tuple[WorkerView, ...]


class DriverUpdate(Message, frozen=True):
    request: int
    driver: DriverView


class LogData(Message, frozen=True):
    """Output of a job: worker -> master -> client. ``offset`` is where ``data`` starts, ``size`` the output's present
    length. ``ended``: the process has ended, and no output follows after ``size``. ``waiting``: it has not started yet.
    ``file`` identifies the file: attempts of a driver may continue one file, even on another worker that shares the
    directory. All parts of a rolled output count as one file; ``first`` is the first byte that still exists, and ``offset``
    is larger than requested if the bytes there were removed. Of a search: ``found`` is the match (-1: not in this part),
    ``searched`` the number of bytes searched from ``offset`` (0 with bytes left: the worker's release cannot search).
    ``attempt`` returns the attempt that was asked for (0: its release cannot separate attempts)."""

    request: int
    offset: int = 0
    size: int = 0
    data: bytes = b""
    ended: bool = False
    waiting: bool = False
    error: str = ""
    file: str = ""
    found: int = -1
    searched: int = 0
    first: int = 0
    attempt: int = 0


ToMaster = (
    RegisterWorker
    | WorkerHeartbeat
    | WorkerLeaving
    | DriverStateChanged
    | ExecutorStateChanged
    | FetchBlob
    | LogData
    | RegisterApplication
    | UnregisterApplication
    | ApplicationHeartbeat
    | RequestExecutors
    | KillExecutors
    | SubmitDriver
    | KillJob
    | HoldJob
    | UpdateJob
    | DryRun
    | GetScheduling
    | GetStatus
    | DrainWorkers
    | ForgetWorkers
    | WatchDriver
    | ReadLog
    | UploadChunk
    | FindMissingBlobs
)
ToWorker = (
    RegisteredWorker
    | RegisterWorkerFailed
    | Reconnect
    | SetDrain
    | MastersChanged
    | LaunchDriver
    | KillDriver
    | LaunchExecutor
    | KillExecutor
    | ApplicationFinished
    | DriverStateAck
    | ExecutorStateAck
    | BlobData
    | ReadLog
    | Failed
)
ToClient = (
    RegisteredApplication
    | Reconnect
    | MastersChanged
    | ExecutorAdded
    | ExecutorUpdated
    | ApplicationRemoved
    | Submitted
    | DryRunResult
    | Scheduling
    | Accepted
    | Failed
    | MissingBlobs
    | UploadStatus
    | Status
    | Workers
    | DriverUpdate
    | LogData
)

_WORKER_ONLY = (
    RegisterWorker, WorkerHeartbeat, WorkerLeaving, DriverStateChanged, ExecutorStateChanged, FetchBlob, LogData,
)  # fmt: skip


def roles_allowed(message: type[Message]) -> frozenset[Role]:
    """Return the roles that may send a message of this type to a master (docs/security.md)."""
    if message in _WORKER_ONLY:
        return frozenset({Role.WORKER})
    if message in (DrainWorkers, ForgetWorkers):
        return frozenset({Role.ADMIN})
    return frozenset({Role.CLIENT, Role.ADMIN})
