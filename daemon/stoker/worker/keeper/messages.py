"""What the worker daemon and its keeper send each other: one JSON object a line. Standard library only.

Compatible with release 0.1.0 in both directions: a field that 0.1.0 does not know is optional, a reader ignores fields and
operations it does not know, and a keeper that gives no ``kind`` back is one of 0.1.0 (``kind_of``).
"""

from __future__ import annotations

import functools
import json
from typing import Any, Literal, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

from stoker.worker.groups.account import JobLimits

Kind = Literal["job", "class-data"]  # a driver or an executor; the making of a class-data archive
FIRST_RELEASE = "0.1.0"  # a keeper that does not give its release is of this one, or hardly later
CLASS_DATA_KEY = "class-data/"  # how their keys begin: 0.1.0 knows the kind by it


# --- daemon -> keeper ----------------------------------------------------------------------------------------------


class _Hello(TypedDict):
    op: Literal["hello"]


class Hello(_Hello, total=False):
    """Answered by ``Jobs``."""

    name: str  # the id of the daemon's worker


class Rolling(TypedDict):
    """How output is rolled (spark.executor.logs.rolling.*)."""

    strategy: str  # 'time' or 'size'
    interval: float  # seconds
    max_bytes: int
    max_files: int  # negative: all
    compress: bool


class RunAs(TypedDict):
    """Whose job it is: the keeper finds the account, and becomes it."""

    principal: str  # "": nobody in particular
    pool: str
    required: bool  # without an account it does not run as the daemon's
    folders: list[str]  # that the account gets
    environment: dict[str, str]  # besides ``env``, if it runs as the daemon's account


class _Spawn(TypedDict):
    op: Literal["spawn"]
    key: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    stdout: str  # path; appended to
    stderr: str
    header: str  # written to stderr first
    note: str  # the daemon's own description of the job, returned in ``Jobs``


class Spawn(_Spawn, total=False):
    """Start a process. Answered by ``Started`` or ``NotStarted``."""

    kind: Kind
    rolling: Rolling
    limit: float  # seconds after which the keeper stops the job
    limits: JobLimits  # without it the job is neither limited nor measured
    run_as: RunAs  # without it the job runs as the daemon's account; only for a keeper with ``accounts``


class Stop(TypedDict):
    """Send TERM to everything of the job now, and KILL to what is left after ``grace`` seconds."""

    op: Literal["stop"]
    key: str
    grace: float


class Forget(TypedDict):
    """The daemon has booked the job's end."""

    op: Literal["forget"]
    key: str


class Clear(TypedDict):
    """Remove all that is in a folder that belongs to an account of jobs, as that account. Answered by ``Cleared``."""

    op: Literal["clear"]
    folder: str


class Measure(TypedDict):
    """Measure all that is in a folder that belongs to an account of jobs, as that account. Answered by ``Measured``."""

    op: Literal["measure"]
    folder: str


class Ping(TypedDict):
    """The daemon is alive."""

    op: Literal["ping"]


class Shutdown(TypedDict):
    """Stop every job, then the keeper; answered by ``Bye``."""

    op: Literal["shutdown"]
    grace: float


# --- keeper -> daemon ----------------------------------------------------------------------------------------------


class ProcessExit(TypedDict, total=False):
    """How a main process ended: ``code`` or ``signal``. ``oom``: the kernel killed it because memory ran out. ``expired``:
    the keeper stopped it at its limit. What the job used follows when all of it has gone."""

    code: int
    signal: int
    oom: bool
    expired: bool
    peak_mib: int
    cpu_seconds: float
    limit_mib: int  # the memory that it was held to


class _Kept(TypedDict):
    key: str
    pid: int
    note: str
    started: float  # seconds since the Unix epoch
    exit: Union[ProcessExit, None]  # noqa: UP007 - read at run time, by Python 3.10 too; None until all of the job is gone


class Kept(_Kept, total=False):
    """A job in the keeper's list."""

    kind: Kind
    account: str  # that it runs as; missing: the keeper's own, without ``RunAs``


class _Jobs(TypedDict):
    op: Literal["jobs"]
    jobs: list[Kept]


class Jobs(_Jobs, total=False):
    """All jobs that have not been forgotten."""

    served: list[str]  # daemons that said hello to this keeper, or to one whose journal it read; the latest last
    lost: list[str]  # keys of jobs that may have run under an earlier keeper, and whose end nobody saw
    release: str  # of Stoker, whose code the keeper runs
    accounts: bool  # whether it can run jobs as other accounts


class _Started(TypedDict):
    op: Literal["started"]
    key: str
    pid: int


class Started(_Started, total=False):
    kind: Kind
    account: str  # as in ``Kept``


class _NotStarted(TypedDict):
    op: Literal["failed"]
    key: str
    errno: int  # 0: none
    reason: str


class NotStarted(_NotStarted, total=False):
    """The process could not be started. ``stage`` says where: its files and folder (``output``), its control
    group (``limits``), its account (``account``), or the process itself."""

    kind: Kind
    stage: str


class _Exited(TypedDict):
    op: Literal["exited"]
    key: str


class Exited(_Exited, ProcessExit, total=False):
    """The main process has ended, and nothing of the job is left."""

    kind: Kind


class Cleared(TypedDict):
    op: Literal["cleared"]
    folder: str


class Measured(TypedDict):
    op: Literal["measured"]
    folder: str
    bytes: int  # on disk, without the folder itself; negative: unknown


class UsersFile(TypedDict):
    """The state of ``users.yml``: after ``Hello``, and when it changes. Only of a keeper with ``accounts``."""

    op: Literal["users"]
    fault: str  # "": it is obeyed
    has_mapping: bool  # with a fault: the file before it is still obeyed; otherwise no job has an account


class Bye(TypedDict):
    op: Literal["bye"]


ToKeeper = Hello | Spawn | Stop | Forget | Clear | Measure | Ping | Shutdown
FromKeeper = Jobs | Started | NotStarted | Exited | Cleared | Measured | UsersFile | Bye


# --- reading and writing -------------------------------------------------------------------------------------------


def encode(message: ToKeeper | FromKeeper) -> bytes:
    """Return the line for a message."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def read_by_keeper(line: bytes) -> ToKeeper | None:
    """Return the daemon's message; None for an operation of a later release. Raises ValueError for a malformed one."""
    found: ToKeeper | None = _read(line, _TO_KEEPER)
    return found


def read_by_daemon(line: bytes) -> FromKeeper | None:
    """Return the keeper's message; None for an operation of a later release. Raises ValueError for a malformed one."""
    found: FromKeeper | None = _read(line, _FROM_KEEPER)
    return found


def kind_of(message: Kept | Started | NotStarted | Exited) -> Kind:
    """Return what the process is."""
    return message.get("kind") or ("class-data" if message["key"].startswith(CLASS_DATA_KEY) else "job")


def key_of(line: bytes) -> str:
    """Return the key in a malformed message, if it can be read at all; else ''."""
    try:
        found = json.loads(line)
    except ValueError:
        return ""
    key = found.get("key") if isinstance(found, dict) else None
    return key if isinstance(key, str) else ""


_TO_KEEPER: dict[str, type] = {
    "hello": Hello,
    "spawn": Spawn,
    "stop": Stop,
    "forget": Forget,
    "clear": Clear,
    "measure": Measure,
    "ping": Ping,
    "shutdown": Shutdown,
}
_FROM_KEEPER: dict[str, type] = {
    "jobs": Jobs,
    "started": Started,
    "failed": NotStarted,
    "exited": Exited,
    "cleared": Cleared,
    "measured": Measured,
    "users": UsersFile,
    "bye": Bye,
}


def _read(line: bytes, shapes: dict[str, type]) -> Any:
    found = json.loads(line)
    if not isinstance(found, dict) or not isinstance(found.get("op"), str):
        raise ValueError("a message is an object with an 'op'")
    shape = shapes.get(found["op"])
    if shape is None:
        return None
    _check(found, shape, found["op"])
    return found


def _check(value: Any, shape: Any, where: str) -> None:
    """Raise ValueError, with the place, unless ``value`` is what the annotation ``shape`` says."""
    if is_typeddict(shape):
        _check_object(value, shape, where)
        return
    origin, args = get_origin(shape), get_args(shape)
    if origin is Union:
        if value is not None:
            _check(value, args[0], where)
    elif origin is Literal:
        _require(value in args, value, where)
    elif origin is list:
        _require(isinstance(value, list), value, where)
        for number, item in enumerate(value):
            _check(item, args[0], f"{where}[{number}]")
    elif origin is dict:
        _require(isinstance(value, dict), value, where)
        for name, item in value.items():
            _check(item, args[1], f"{where}.{name}")
    elif shape is float:
        _require(isinstance(value, (int, float)) and not isinstance(value, bool), value, where)
    else:
        _require(isinstance(value, shape) and (shape is bool or not isinstance(value, bool)), value, where)


def _check_object(value: Any, shape: Any, where: str) -> None:
    _require(isinstance(value, dict), value, where)
    required, fields = _fields(shape)
    missing = required - value.keys()
    if missing:
        raise ValueError(f"{where} lacks {', '.join(sorted(missing))}")
    for name, kind in fields.items():
        if name in value:
            _check(value[name], kind, f"{where}.{name}")


@functools.cache
def _fields(shape: Any) -> tuple[frozenset[str], dict[str, Any]]:
    return frozenset(shape.__required_keys__), get_type_hints(shape)


def _require(holds: bool, value: Any, where: str) -> None:
    if not holds:
        raise ValueError(f"{where} cannot be {json.dumps(value)[:80]}")
