"""Values that travel inside messages and records: what a driver, an application or an executor *is*.

They validate themselves, so an invalid value cannot exist: msgspec runs ``__post_init__`` while decoding, too, and turns
``ValueError`` into its ``ValidationError``. Memory is in MiB, times are seconds since the Unix epoch, unless a name says
otherwise.
"""

# Annotations stay values, as in messages.py.

import math
import re
from collections.abc import Iterable
from typing import Any, Literal, Protocol

import msgspec

from stoker.core.model.resources import Addresses, Amounts, check_addresses, check_amounts
from stoker.core.model.states import DriverState, ExecutorState

UNLIMITED = 2**31 - 1  # Spark's Int.Max: "no limit" for cores and executors
HIGHEST_EXECUTOR_ID = UNLIMITED // 2  # that a peer may claim; the numbers of later executors must fit above it

# Ids name folders and are numbers in part: at most 12 digits, so that a counter made from one stays far below 64 bits.
# ``_N``: the task with index N of an array.
DRIVER_ID = re.compile(r"driver-[0-9]{14}-[0-9]{4,12}(?:_[0-9]{1,10})?")
APP_ID = re.compile(r"app-[0-9]{14}-[0-9]{4,12}")
WORKER_ID = re.compile(r"worker-[0-9]{14}-[A-Za-z0-9_.:\[\]-]{1,255}-[0-9]{1,5}")
POOL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
HIGHEST_PRIORITY = 1_000_000
SHA256 = re.compile(r"[0-9a-f]{64}")
SPARK_RELEASE = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}(?:\|[0-9]{1,4}\.[0-9]{1,4}){0,9}")

TIMED_OUT = 124  # the exit status of a process that reached its time limit
OVER_DISK = 153  # and of one over its disk limit: 128 + SIGXFSZ, as after the kernel's own limit on a file's size
REMOTE_SCHEMES = ("http", "https", "hdfs", "webhdfs", "s3", "s3a")  # of URLs that a worker fetches
OUTPUTS = frozenset({"stdout", "stderr"})  # in a driver's directory

SparkAuth = Literal["", "sasl", "crypto1", "crypto2"]  # closed: release 0.1.0 rejects a record with another value
SparkCipher = Literal["", "gcm"]
AfterEnd = Literal["ok", "any", "failed"]  # FINISHED, in any state, or in any other than FINISHED
MOST_PARENTS = 1000  # of one driver
DriverKind = Literal["python", "archive", "jar", "program"]
Door = Literal["", "cli", "python", "playbook", "dashboard", "api", "rest", "spark"]
_THROUGH: dict[Door, str] = {
    "": "",
    "cli": "from the command line",
    "python": "from Python",
    "playbook": "with a playbook",
    "dashboard": "from the dashboard",
    "api": "through the API",
    "rest": "through REST",
    "spark": "from a Spark client",
}


def number_of(identifier: str) -> int:
    """Return the counter in the id of a driver or an application. It grows with every submission, even if clocks jump."""
    return int(identifier.rsplit("-", 1)[1].partition("_")[0])


class Now(msgspec.Struct, frozen=True, gc=False):
    """The time, passed as an argument. ``mono`` orders and measures, ``wall`` is shown and stored; both in seconds."""

    mono: float
    wall: float


class Rng(Protocol):
    """The part of ``random.Random`` that the cores use; passed in so that a run can be replayed from a seed."""

    def shuffle(self, items: list[Any], /) -> None: ...

    def random(self) -> float: ...


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of immutable values."""


class Artifact(Value, frozen=True):
    """A file that must be in the driver's directory before the driver starts.

    It has exactly one source: ``sha256`` names a file uploaded to the master; ``url`` names a file that the worker downloads
    (``file: http: https: hdfs: webhdfs: s3: s3a:``) or uses where it is (``local:``). Raises ValueError for anything else.
    """

    name: str  # a plain file name, unique within its driver
    sha256: str = ""  # 64 lower-case hex digits
    url: str = ""
    size: int = 0  # bytes; 0 when unknown
    executable: bool = False  # gets the execute permission

    def __post_init__(self) -> None:
        if not self.name or self.name in {".", ".."} or "/" in self.name or "\0" in self.name:
            raise ValueError(f"artifact name {self.name!r} must be a plain file name")
        if self.name in OUTPUTS:
            raise ValueError(f"a file of a driver must not be called {self.name!r}: its output is written there")
        if bool(self.sha256) == bool(self.url):
            raise ValueError(f"artifact {self.name!r} needs exactly one of sha256 and url")
        if self.sha256 and not SHA256.fullmatch(self.sha256):
            raise ValueError(f"artifact {self.name!r}: sha256 must be 64 lower-case hex digits")
        _check_range("size", self.size, 0, 2**62)
        _check_texts(f"artifact {self.name!r}", (self.name, self.url))


RELEASE_PROPERTY = "spark.stoker.spark.release"  # in a driver's conf: the Spark that its jar was made for, as ``4.3.0``
# Why an executor ended, and its application with it: every later executor would fail as well.
NO_SHUFFLE_SERVICE = (
    "the application wants an external shuffle service, which workers do not have: set spark.shuffle.service.enabled"
    " false, and for dynamic allocation spark.dynamicAllocation.shuffleTracking.enabled true"
)


class SparkProgram(Value, frozen=True):
    """What an executor of an unmodified Spark application needs besides its command, whose first word is then a Java
    class. ``release`` is the Spark that the worker must have (``4.3``, or ``4.2|4.1`` for either). A new master finds the
    application's driver at ``driver_host`` and ``driver_port``; ``auth`` is how the driver authenticates ("": not at all,
    ``sasl``, ``crypto1``, ``crypto2``), and ``cipher`` how it then encrypts ("": AES-CTR with ``crypto``)."""

    release: str
    driver_host: str = ""
    driver_port: int = 0
    auth: SparkAuth = ""
    java_options: tuple[str, ...] = ()
    class_path: tuple[str, ...] = ()
    library_path: tuple[str, ...] = ()
    cipher: SparkCipher = ""
    overhead_mib: int | None = None  # of an executor, beyond its memory; None: the worker chooses

    def __post_init__(self) -> None:
        if not SPARK_RELEASE.fullmatch(self.release):
            raise ValueError(f"{self.release[:80]!r} is not a release of Spark")
        _check_range("driver_port", self.driver_port, 0, 65535)
        if self.overhead_mib is not None:
            _check_range("overhead_mib", self.overhead_mib, 0)
        texts = (self.driver_host, *self.java_options, *self.class_path, *self.library_path)
        _check_texts("a Spark application's setting", texts)


class DriverDescription(Value, frozen=True):
    """A program that runs once in the cluster.

    ``kind`` says how ``main`` (the name of one of ``artifacts``) is started: *python* a script, *archive* a ``.pyz`` or
    ``.whl``, *jar* by ``java``, *program* as it is. ``main_class`` is the entry point (``package.module:function`` or
    ``package.module`` for archives, a class for jars). ``Client.describe`` makes one from a path and keywords.

    Raises ValueError for an illegal value: a negative number, a name that is not one of ``artifacts``, NUL in a text.
    """

    kind: DriverKind
    main: str
    name: str = ""  # shown by ``stoker status``; "": the name of ``main``
    main_class: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}  # added to the environment of its worker
    artifacts: tuple[Artifact, ...] = ()  # the files that it needs, ``main`` among them
    py_files: tuple[str, ...] = ()  # names of artifacts put on PYTHONPATH
    jars: tuple[str, ...] = ()  # names of artifacts put on the class path
    java_options: tuple[str, ...] = ()  # for the JVM of a jar
    conf: dict[str, str] = {}  # ``spark.*`` properties of the submission
    cores: int = 1  # at least 0
    memory_mib: int = 1024
    supervise: bool = False  # restart it when it fails or loses its worker
    max_restarts: int = -1  # supervised restarts after failures; negative: no limit
    user: str = ""  # who submitted it, as shown to people
    spark: SparkProgram | None = None  # set for a jar that runs on a Spark distribution of its worker
    resources: Amounts = ()  # named ones that it needs, as GPUs
    pool: str = ""  # which it is charged to; "": ``spark.stoker.pool`` in ``conf``, else the default pool
    priority: int | None = None  # within its pool, higher goes first; None: the pool's default
    time_limit: float = 0.0  # seconds that one attempt may run; 0: no limit (ADR 27)
    hold: bool = False  # it waits until it is released
    after: tuple[str, ...] = ()  # ids of drivers, its parents: it waits until all of them have ended
    after_end: AfterEnd = "ok"  # how each of them must end
    max_disk_mib: int = 0  # that its directory may hold; 0: no limit
    array: str = ""  # of indices, as 1-1000%20 (core.model.arrays): it runs once for each; "": once

    def __post_init__(self) -> None:
        _check_range("cores", self.cores, 0)
        _check_range("memory_mib", self.memory_mib, 0)
        check_amounts(self.resources)
        names = [artifact.name for artifact in self.artifacts]
        if len(set(names)) != len(names):
            raise ValueError(f"two files of one driver have the same name: {sorted(names)}")
        for name in (self.main, *self.py_files, *self.jars):
            if name not in names:
                raise ValueError(f"{name!r} is used by the driver but is not one of its files")
        check_sharing(self.pool, self.priority)
        _check_texts("the driver's name", (self.name, self.user))
        _check_texts("a driver's argument", (*self.args, *self.java_options, self.main_class))
        _check_texts("a property", (*self.conf, *self.conf.values()))
        check_time_limit(self.time_limit)
        _check_range("max_disk_mib", self.max_disk_mib, 0)
        _check_parents(self.after)
        _check_environment(self.env)


class Command(Value, frozen=True):
    """The command that every executor of an application runs.

    The worker replaces ``{{EXECUTOR_ID}} {{CORES}} {{GPUS}} {{HOSTNAME}} {{APP_ID}} {{WORKER_URL}}`` in arguments and in
    values of the environment. Raises ValueError when the command is empty or contains NUL.
    """

    argv: tuple[str, ...]  # the program, looked up on its worker, and its arguments
    env: dict[str, str] = {}  # added to the environment of its worker

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise ValueError("an executor's command must not be empty")
        _check_texts("an executor's command", self.argv)
        _check_environment(self.env)


class ApplicationDescription(Value, frozen=True):
    """What an application asks for when it registers (spec 8, ApplicationDescription).

    In a ``finite`` application (``stoker run``) an executor that exits has done its share: it is not replaced, and the
    application does not get its cores again; only lost executors are replaced. Raises ValueError for an illegal value.
    """

    name: str  # shown by ``stoker status``
    command: Command
    user: str = ""  # shown to people; rights depend on the key alone
    max_cores: int | None = None  # of all executors together (spark.cores.max); None: spark.deploy.defaultCores
    cores_per_executor: int | None = None  # None: one executor on each worker, with all cores granted there
    memory_mib: int = 1024  # per executor
    executor_limit: int = UNLIMITED  # how many executors it wants at most (dynamic allocation)
    ui_url: str = ""  # of its own pages, linked by the dashboard
    finite: bool = False
    spark: SparkProgram | None = None  # set when its executors are those of Apache Spark
    resources: Amounts = ()  # named ones that each executor needs, as GPUs
    pool: str = ""  # which it is charged to; "": ``STOKER_POOL`` in the command's environment, else the default pool
    priority: int | None = None  # as in ``DriverDescription``
    time_limit: float = 0.0  # seconds that one of its executors may run; 0: no limit (ADR 27)
    profile: int = 0  # of the executors that it launches (core.model.profiles)
    max_disk_mib: int = 0  # that the directory and the scratch space of one of its executors may hold; 0: no limit
    min_executors: int = 0  # it begins with so many at once, or waits; 0: its ``STOKER_MIN_EXECUTORS``, or 1

    def __post_init__(self) -> None:
        if self.max_cores is not None:
            _check_range("max_cores", self.max_cores, 1)
        if self.cores_per_executor is not None:
            _check_range("cores_per_executor", self.cores_per_executor, 1)
        _check_range("memory_mib", self.memory_mib, 0)
        _check_range("executor_limit", self.executor_limit, 0)
        _check_range("min_executors", self.min_executors, 0)
        check_amounts(self.resources)
        check_sharing(self.pool, self.priority)
        _check_texts("the application's name", (self.name, self.user, self.ui_url))
        check_time_limit(self.time_limit)
        _check_range("max_disk_mib", self.max_disk_mib, 0)

    def has_driver_of(self, other: "ApplicationDescription") -> bool:
        """Return whether one Spark driver sent both. Two drivers cannot listen at one address at the same time."""
        mine, its = self.spark, other.spark
        if mine is None or its is None or not mine.driver_host:
            return False
        return (mine.driver_host, mine.driver_port, self.name, self.user) == (
            its.driver_host, its.driver_port, other.name, other.user,
        )  # fmt: skip


class Exit(Value, frozen=True):
    """How a process ended: with ``code`` or by ``signal``. Both are None when it was not started, or nobody saw its end."""

    code: int | None = None  # the exit code
    signal: int | None = None  # the signal's number
    reason: str = ""  # for people
    refused: bool = False  # its worker could not start it (full disk, too many processes); the job is placed again
    last_error_line: str = ""  # of its stderr, if it failed: one line, at most 200 characters, nothing unprintable
    expired: bool = False  # it was stopped because it reached its time limit
    oom: bool = False  # the kernel killed it, because memory ran out
    peak_mib: int = 0  # the most memory that all its processes used at once; 0: not measured
    cpu_seconds: float = 0.0  # of all its processes; 0: not measured
    over_disk: bool = False  # it was stopped because its directory held more than it may

    def __post_init__(self) -> None:
        if self.peak_mib:
            _check_range("peak_mib", self.peak_mib, 0)
        if not (math.isfinite(self.cpu_seconds) and self.cpu_seconds >= 0):
            raise ValueError(f"cpu_seconds must not be {self.cpu_seconds}")
        if self.code is not None and self.signal is not None:
            raise ValueError(f"a process cannot end by code {self.code} and by signal {self.signal}")
        if self.code is not None:
            _check_range("code", self.code, -UNLIMITED - 1)
        if self.signal is not None:
            _check_range("signal", self.signal, 0)

    @property
    def status(self) -> int | None:
        """The exit status as a shell shows it: the code, or 128 + the signal's number; None when both are unknown. 124, as of
        ``timeout``, for a process that reached its time limit, and 153 for one that was over its disk limit."""
        if self.expired:
            return TIMED_OUT
        if self.over_disk:
            return OVER_DISK
        return self.code if self.signal is None else 128 + self.signal

    @property
    def used(self) -> str:
        """What it used, for people: ``312 MiB, 4.2 s CPU``; "" if that was not measured."""
        memory = f"{self.peak_mib} MiB" if self.peak_mib else ""
        cpu = f"{self.cpu_seconds:.1f} s CPU" if self.peak_mib or self.cpu_seconds else ""
        return ", ".join(filter(None, [memory, cpu]))

    @property
    def is_success(self) -> bool:
        """Whether it exited with 0, and no limit stopped it."""
        return self.code == 0 and self.signal is None and not self.is_over_limit

    @property
    def is_over_limit(self) -> bool:
        """Whether it was stopped because it reached its time limit or its disk limit."""
        return self.expired or self.over_disk


class Order(Value, frozen=True):
    """What a person decided about a job or a worker: who, through which door, and when (seconds since the Unix epoch)."""

    by: str = ""  # the principal; "" where nobody has proved who they are
    door: str = ""  # a ``Door``; a later release may know others
    at: float = 0.0

    def words(self, verb: str) -> str:
        """Return ``VERB by NAME from the dashboard``, as far as it is known."""
        by = f"by {self.by}" if self.by else ""
        through = next((words for door, words in _THROUGH.items() if door == self.door), "")
        return " ".join(filter(None, [verb, by, through])) if by or through else f"{verb} on request"


class DrainMark(Value, frozen=True):
    """Whether a worker is draining: it gets no new jobs, and its running jobs continue. ``revision`` counts the operator's
    decisions, so that of two marks for one worker the later is known (ADR 6)."""

    draining: bool = False
    revision: int = 0
    order: Order | None = None  # that led to this mark; None: unknown, or the worker's own (SIGPWR)
    reason: str = ""  # the operator's words
    until: float = 0.0  # then what still runs is stopped (seconds since the Unix epoch); 0: never

    def __post_init__(self) -> None:
        _check_range("revision", self.revision, 0)
        _check_texts("a drain's reason", (self.reason,))
        if not 0 <= self.until < math.inf:
            raise ValueError("a drain's deadline must be a time")

    def changed(
        self, draining: bool, order: Order | None = None, *, reason: str = "", until: float = 0.0
    ) -> "DrainMark":
        """Return the mark after a decision; the same mark if the decision changes nothing."""
        if draining is self.draining and not (draining and (reason or until)):
            return self
        return DrainMark(
            draining=draining,
            revision=min(self.revision + 1, UNLIMITED),
            order=order,
            reason=reason if draining else "",
            until=until if draining else 0.0,
        )

    def is_overdue(self, wall: float) -> bool:
        """Return whether what runs there must stop now."""
        return self.draining and 0 < self.until <= wall

    def why(self, address: str) -> str:
        """Return in words why a job on that worker was stopped."""
        return f"{address} was drained, and its deadline has come" + (f": {self.reason}" if self.reason else "")


class Unfit(Value, frozen=True):
    """Why a host is not well, as its worker found it. Raises ValueError for NUL in a text."""

    kind: str  # disk, health, users or refusals; later releases may report others
    text: str  # for people: one line that names the thing
    since: float = 0.0

    def __post_init__(self) -> None:
        _check_texts("a reason", (self.kind, self.text))


class DriverReport(Value, frozen=True):
    """A driver as its worker knows it, sent when the worker registers. It suffices to rebuild the master's books."""

    driver_id: str
    attempt: int
    state: DriverState
    driver: DriverDescription
    started: float = 0.0
    pid: int = 0
    exit: Exit = Exit()
    principal: str | None = None  # whose it is, as its master said; None: unknown, from release 0.1.0
    seal: str = ""  # as its master sent it; "": from release 0.1.0, or without authentication
    resources: Addresses = ()  # that it holds
    account: str = ""  # that it runs as on its worker; "": the worker's, which runs no job as another account

    def __post_init__(self) -> None:
        _check_id(self.driver_id, DRIVER_ID, "a driver")
        _check_range("attempt", self.attempt, 1)
        check_addresses(self.resources)
        _check_process(self.started, self.pid)


class ExecutorReport(Value, frozen=True):
    """An executor as its worker knows it, sent when the worker registers."""

    app_id: str
    executor_id: int
    cores: int
    memory_mib: int
    state: ExecutorState
    app: ApplicationDescription
    started: float = 0.0
    pid: int = 0
    exit: Exit = Exit()
    principal: str | None = None  # of the application, as in ``DriverReport``
    seal: str = ""  # as in ``DriverReport``
    resources: Addresses = ()  # that it holds
    account: str = ""  # as in ``DriverReport``

    def __post_init__(self) -> None:
        _check_id(self.app_id, APP_ID, "an application")
        _check_range("executor_id", self.executor_id, 0, HIGHEST_EXECUTOR_ID)
        _check_range("cores", self.cores, 1)
        _check_range("memory_mib", self.memory_mib, 0)
        check_addresses(self.resources)
        _check_process(self.started, self.pid)


def _check_range(name: str, value: int, least: int, most: int = UNLIMITED) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least} and {most}, not {value}")


def check_sharing(pool: str, priority: int | None) -> None:
    if pool and not POOL_NAME.fullmatch(pool):
        raise ValueError(f"{pool[:80]!r} is not the name of a pool: use letters, digits, '.', '-' and '_'")
    if priority is not None:
        _check_range("priority", priority, -HIGHEST_PRIORITY, HIGHEST_PRIORITY)


def _check_parents(parents: tuple[str, ...]) -> None:
    for parent_id in parents:
        _check_id(parent_id, DRIVER_ID, "a driver")
    if len(set(parents)) != len(parents):
        raise ValueError("a driver cannot wait for the same driver twice")
    if len(parents) > MOST_PARENTS:
        raise ValueError(f"a driver can wait for at most {MOST_PARENTS} others, not for {len(parents)}")


def _check_id(identifier: str, pattern: re.Pattern[str], kind: str) -> None:
    if not pattern.fullmatch(identifier):
        raise ValueError(f"{identifier[:80]!r} is not the id of {kind}")


def _check_process(started: float, pid: int) -> None:
    if not (math.isfinite(started) and started >= 0):
        raise ValueError(f"started must be a time, not {started}")
    _check_range("pid", pid, 0)


def check_time_limit(seconds: float) -> None:
    if not (math.isfinite(seconds) and 0 <= seconds <= UNLIMITED):
        raise ValueError(f"a time limit must be from 0 to {UNLIMITED} seconds, not {seconds:g}")


def _check_texts(what: str, texts: Iterable[str]) -> None:
    """Raise ValueError for NUL, which no program accepts in its arguments, and for text that is not UTF-8, which neither
    messages nor file names can carry."""
    for text in texts:
        if "\0" in text:
            raise ValueError(f"{what} must not contain NUL: {text[:80]!r}")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{what} must be UTF-8: {text[:80]!r}") from None


def _check_environment(env: dict[str, str]) -> None:
    for name, value in env.items():
        if not name or "=" in name:
            raise ValueError(f"environment variable {name!r} is malformed")
        _check_texts(f"environment variable {name!r}", (name, value))
