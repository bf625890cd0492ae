"""The records that survive a master: one for each driver, array, application, executor and worker, the tasks of arrays in
chunks, the use of pools, and the id counters.

Keys are ``driver/ID``, ``array/ID``, ``tasks/ARRAY/N``, ``app/ID``, ``executor/APP/N``, ``worker/ID``,
``usage/POOL/PRINCIPAL`` and ``meta/counters``. The
structs are mutable because they are the master's books; each change that must survive is followed by a ``Persist`` of the
whole record.
"""

from __future__ import annotations

import msgspec

from stoker.core.model.addresses import address_of
from stoker.core.model.arrays.indices import parse_array
from stoker.core.model.profiles import Profile
from stoker.core.model.resources import Addresses, Amounts
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, WorkerState
from stoker.core.model.values import ApplicationDescription, DrainMark, DriverDescription, Exit, Order


class Record(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Base of persisted records."""


class Attempt(Record):
    """One run of a driver on one worker."""

    number: int
    worker_id: str
    worker_host: str
    state: DriverState = DriverState.RUNNING
    started: float = 0.0
    ended: float = 0.0
    pid: int = 0
    exit: Exit = Exit()
    lost: bool = False  # given up with its worker, which may still know how it ended
    worker_key: str = ""  # of its worker; "": unknown, from release 0.1.0, or without authentication
    resources: Addresses = ()  # that it holds, or held
    account: str = ""  # that it ran as, by its mapping at its launch; as in ``DriverReport``


class DriverRecord(Record):
    id: str
    description: DriverDescription
    submitted: float
    token: str = ""
    owner: str = ""  # its submitter's key, for masters of release 0.1.0
    state: DriverState = DriverState.SUBMITTED
    attempts: list[Attempt] = []
    restarts: int = 0  # after failures; relaunches after a lost worker do not count
    backoff: float = 0.0  # seconds to wait before the next restart; 0: the first value
    kill_requested: bool = False
    ended: float = 0.0
    reason: str = ""
    refused_attempt: int = 0  # the latest number that a worker refused: not in ``attempts``, and never used again
    principal: str | None = None  # who submitted it, as proved; "": nobody in particular; None: unknown (ADR 22)
    kill: Order | None = None  # the first order to kill it
    unsealed: bool = False  # a worker reported it to a master without records, and nothing proves that it was submitted
    hold: Order | None = None  # the order to hold it; None: it is not held
    awaits: tuple[str, ...] = ()  # those of its parents that have not ended

    @property
    def attempt(self) -> int:
        """The number of the latest attempt, 0 before the first."""
        return self.attempts[-1].number if self.attempts else 0


class ArrayRecord(DriverRecord):
    """An array: what a driver's record has before its first attempt. The state stays SUBMITTED until all tasks have ended.
    Tasks that run, or ended lately, have a ``DriverRecord`` each."""

    chunks: int = 0  # how many ``TaskChunk`` records it has

    def __post_init__(self) -> None:
        parse_array(self.description.array)


class TaskChunk(Record):
    """What has become of ``CHUNK`` tasks of an array (core.master.arrays): by position, without zeros at the end."""

    array_id: str
    number: int
    states: bytes  # one byte each
    statuses: bytes = b""  # exit statuses, one byte each
    workers: bytes = b""  # two bytes each, little-endian: 0, or 1 + the place in ``names``
    names: tuple[str, ...] = ()  # ids of workers


class AppRecord(Record):
    id: str
    description: ApplicationDescription
    submitted: float
    token: str = ""
    owner: str = ""  # its registrant's key, for masters of release 0.1.0; empty for one adopted, until it registers
    state: ApplicationState = ApplicationState.WAITING
    executor_limit: int = 0
    next_executor_id: int = 0
    cores_max: int = 0  # limit of its cores: its spark.cores.max, else spark.deploy.defaultCores
    cores_done: int = 0  # finite applications: cores of executors that have ended by themselves
    failures: int = 0  # finite applications: executors that ended with another code than 0
    ended: float = 0.0
    reason: str = ""
    principal: str | None = None  # as in ``DriverRecord``
    kill: Order | None = None
    hold: Order | None = None  # as in ``DriverRecord``
    profiles: tuple[Profile, ...] = ()  # besides its description, in the order of their ids


class ExecutorRecord(Record):
    app_id: str
    id: int
    worker_id: str
    worker_host: str
    cores: int
    memory_mib: int
    state: ExecutorState = ExecutorState.LAUNCHING
    started: float = 0.0
    ended: float = 0.0
    pid: int = 0
    exit: Exit = Exit()
    worker_key: str = ""  # as in ``Attempt``
    resources: Addresses = ()  # that it holds, or held
    profile: int = 0  # of its application (core.model.profiles)
    account: str = ""  # as in ``Attempt``


class WorkerRecord(Record):
    id: str
    host: str
    port: int
    cores: int
    memory_mib: int
    webui_url: str = ""
    version: str = ""
    state: WorkerState = WorkerState.ALIVE
    last_heartbeat: float = 0.0
    drain: DrainMark = DrainMark()
    key: str = ""  # with which it registered; "": as in ``Attempt``
    resources: Addresses = ()  # that it offers

    @property
    def address(self) -> str:
        """HOST:PORT, [HOST]:PORT for IPv6; commands accept it as this worker's name."""
        return address_of(self.host, self.port)


class UsageRecord(Record):
    """What a principal has used in a pool: core-milliseconds, MiB-milliseconds and the like, decayed up to ``at``
    (milliseconds since the Unix epoch). Written only while there is a ``pools.yml``."""

    pool: str
    principal: str
    cores: int = 0
    memory_mib: int = 0
    at: int = 0
    resources: Amounts = ()  # unit-milliseconds of named ones


class Counters(Record):
    """Numbers for the next ids. They only grow, so an id is never used twice."""

    apps: int = 0
    drivers: int = 0


def driver_key(driver_id: str) -> str:
    return f"driver/{driver_id}"


def array_key(array_id: str) -> str:
    return f"array/{array_id}"


def chunk_key(array_id: str, number: int) -> str:
    return f"tasks/{array_id}/{number}"


def app_key(app_id: str) -> str:
    return f"app/{app_id}"


def executor_key(app_id: str, executor_id: int) -> str:
    return f"executor/{app_id}/{executor_id}"


def worker_key(worker_id: str) -> str:
    return f"worker/{worker_id}"


def usage_key(pool: str, principal: str) -> str:
    return f"usage/{pool}/{principal}"


COUNTERS_KEY = "meta/counters"
