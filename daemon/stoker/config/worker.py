"""A worker's settings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stoker.config import types
from stoker.config.common import (
    Trail,
    audit_trail,
    first,
    is_own,
    keys_dir,
    listen_host,
    memory_limit,
    option,
    state_dir,
)
from stoker.config.machine import total_memory_mib, usable_cores
from stoker.config.master import add_daemon_arguments
from stoker.config.resources import ResourceSettings, resource_settings
from stoker.config.secrets import spark_secret
from stoker.config.sources import Settings, load_settings
from stoker.config.web import WebConfig, tls_port, web_config
from stoker.errors import ConfigError, UsageError

_INTERVALS = {"daily": 86400, "hourly": 3600, "minutely": 60, "secondly": 1}

_INHERITED = {
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "JAVA_HOME", "LD_LIBRARY_PATH",
    "SPARK_HOME", "SPARK_CONF_DIR", "STOKER_KEYS_DIR", "STOKER_STATE_DIR",
    "SPARK_DIST_CLASSPATH", "SPARK_LAUNCHER_OPTS", "SPARK_SUBMIT_OPTS", "SPARK_SCALA_VERSION", "SPARK_PRINT_LAUNCH_COMMAND",
}  # fmt: skip
_INHERITED_PREFIXES = ("LC_", "HADOOP_", "YARN_", "PYSPARK_")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class LogRolling:
    """spark.executor.logs.rolling.*; ``strategy`` is '' (off), 'time' or 'size'; ``interval`` in seconds."""

    strategy: str = ""
    interval: float = 86400.0
    max_bytes: int = 1048576
    max_files: int = -1
    compress: bool = False

    @property
    def is_on(self) -> bool:
        return bool(self.strategy)


@dataclass(frozen=True, kw_only=True)
class MinFree:
    """A disk with less than both is short of room: percent of the whole, and bytes."""

    percent: float
    size: int


@dataclass(frozen=True, kw_only=True)
class HealthConfig:
    """``script`` is run every ``interval`` seconds; ``min_free`` None: disks are not measured."""

    min_free: MinFree | None = None
    script: Path | None = None
    interval: float = 60.0


@dataclass(frozen=True, kw_only=True)
class CleanupConfig:
    """What is removed of ended jobs, looked for every ``interval`` seconds: directories older than ``max_age`` seconds, and
    what is more than ``most``: (percent of the disk, or bytes), None: no limit. ``files_at_end``: files at once."""

    is_on: bool = True
    interval: float = 1800.0
    max_age: float = 604800.0
    most: tuple[float, int] | None = None
    files_at_end: bool = False

    def most_bytes(self, disk: int) -> int | None:
        """Return the bytes that ended jobs may take on a disk of ``disk`` bytes; None: no limit."""
        return None if self.most is None else int(disk * self.most[0] / 100) + self.most[1]


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """``mode`` is off, account or enforce; with ``hard_cpu`` cores are a limit, not only a share; ``processes`` and threads
    that one job may have."""

    mode: str = "account"
    hard_cpu: bool = False
    processes: int = 8192


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Times in seconds, memory in MiB."""

    masters: tuple[str, ...]
    host: str
    port: int
    webui_port: int
    public_dns: str | None
    web: WebConfig
    cores: int
    memory_mib: int
    work_dir: Path
    local_dirs: tuple[Path, ...]
    state_dir: Path
    audit: Trail
    keys_dir: Path
    authenticate: bool
    health: HealthConfig
    cleanup: CleanupConfig
    driver_terminate_timeout: float
    reconnect_timeout: float
    log_rolling: LogRolling
    spark_homes: tuple[Path, ...]  # where Spark distributions are; empty: $SPARK_HOME and the pyspark package
    class_data_sharing: bool  # archives of classes for Spark's executors
    unpack_python: bool  # unpack their Python files
    spark_secret: str  # spark.authenticate.secret, passed to Spark's executors
    worker_timeout: float
    max_port_retries: int
    memory_limit_mib: int | None
    log_mode: int  # of log files; what it allows to others decides the umask
    resources: ResourceSettings
    limits: LimitsConfig
    run_as: str  # off, mapped or required
    conf_dir: Path
    instances: int  # workers the playbooks start on this machine; each is its own ``stoker worker``
    job_environ: Mapping[str, str]  # what every program that the worker starts inherits
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def add_worker_arguments(parser: argparse.ArgumentParser) -> None:
    add_daemon_arguments(parser, port="random", webui_port="8081")
    parser.add_argument("-c", "--cores", metavar="N", help="cores to offer (default: all)")
    parser.add_argument(
        "-m", "--memory", metavar="MEM", help="memory to offer, like 1000M or 2G (default: RAM - 1 GiB)"
    )
    parser.add_argument("-d", "--work-dir", metavar="DIR", help="where drivers and executors run, and their logs")
    parser.add_argument("masters", metavar="MASTER", help="spark://HOST:PORT[,HOST:PORT...]")


def worker_config(args: argparse.Namespace, environ: Mapping[str, str]) -> WorkerConfig:
    """Raises UsageError or ConfigError with the one line to show."""
    settings = load_settings(environ, properties_file=args.properties_file, daemon="worker")
    masters = types.parse_master_url(args.masters)
    state = state_dir(settings)
    ports = _ports(args, settings)
    host = _host(settings, args.host, masters)
    public_dns = settings.variable("SPARK_PUBLIC_DNS")
    run_as = _run_as(settings)
    return WorkerConfig(
        masters=masters,
        host=host,
        port=ports[0],
        webui_port=ports[1],
        public_dns=public_dns,
        web=web_config(settings, host=host, chosen=args.host, public_dns=public_dns),
        cores=_cores(args, settings),
        memory_mib=_memory(args, settings),
        work_dir=_work_dir(args, settings, state),
        local_dirs=_local_dirs(settings, state),
        state_dir=state,
        audit=audit_trail(settings),
        keys_dir=keys_dir(settings),
        authenticate=settings.get("spark.authenticate"),
        health=_health(settings),
        cleanup=_cleanup(settings),
        driver_terminate_timeout=settings.get("spark.worker.driverTerminateTimeout"),
        reconnect_timeout=settings.get("spark.stoker.worker.reconnectTimeout"),
        log_rolling=_rolling(settings),
        spark_homes=_paths(settings.get("spark.stoker.spark.home")),
        # What the worker makes for all executors is in a folder of its own, which other accounts cannot read.
        class_data_sharing=settings.get("spark.stoker.spark.classDataSharing") and run_as == "off",
        unpack_python=settings.get("spark.stoker.spark.unpackPython") and run_as == "off",
        spark_secret=spark_secret(settings),
        worker_timeout=settings.get("spark.worker.timeout"),
        max_port_retries=settings.get("spark.port.maxRetries"),
        memory_limit_mib=memory_limit(settings),
        log_mode=int(settings.get("spark.stoker.log.mode"), 8),
        resources=resource_settings(settings),
        limits=LimitsConfig(
            mode=settings.get("spark.stoker.worker.limits"),
            hard_cpu=settings.get("spark.stoker.worker.cpu") == "hard",
            processes=settings.get("spark.stoker.worker.maxProcesses"),
        ),
        run_as=run_as,
        conf_dir=settings.conf_dir.absolute(),
        instances=settings.parsed(_parse_count, "SPARK_WORKER_INSTANCES") or 1,
        job_environ=_job_environ(settings),
        ignored=tuple(settings.ignored),
        warnings=tuple(settings.warnings),
    )


def _run_as(settings: Settings) -> str:
    """Check ``minUid`` too, which the keeper reads itself."""
    settings.get("spark.stoker.worker.minUid")
    mode: str = settings.get("spark.stoker.worker.runAs")
    return mode


def _job_environ(settings: Settings) -> dict[str, str]:
    """Return the environment of jobs: enough to run and to find the cluster, and what spark-env exports (spec 4). Nothing
    else of the daemon's own environment, which may hold secrets."""

    def inherited(name: str) -> bool:
        return name in _INHERITED or name.startswith(_INHERITED_PREFIXES)

    own = {name: value for name, value in settings.environ.items() if inherited(name)}
    return {"PATH": _DEFAULT_PATH, **own, **settings.exported}


def _host(settings: Settings, chosen: str | None, masters: tuple[str, ...]) -> str:
    """As for a master; but a worker whose masters are all on loopback is on loopback too."""
    if chosen or settings.variable("SPARK_LOCAL_HOSTNAME", "SPARK_LOCAL_IP"):
        return listen_host(settings, chosen)
    hosts = {master.rpartition(":")[0].strip("[]") for master in masters}
    if hosts <= {"127.0.0.1", "localhost", "::1"} and is_own(next(iter(hosts))):
        return next(iter(hosts))
    return listen_host(settings, None)


def _ports(args: argparse.Namespace, settings: Settings) -> tuple[int, int]:
    port = first(
        option("--port", args.port, types.parse_port), settings.parsed(types.parse_port, "SPARK_WORKER_PORT"), 0
    )
    webui_port = first(
        option("--webui-port", args.webui_port, types.parse_port),
        tls_port(settings),
        settings.parsed(types.parse_port, "SPARK_WORKER_WEBUI_PORT"),
        settings.get("spark.worker.ui.port"),
    )
    return port or 0, webui_port if webui_port is not None else 8081


def _parse_count(text: str) -> int:
    return types.parse_integer(text, 1)


def _cores(args: argparse.Namespace, settings: Settings) -> int:
    chosen = first(option("--cores", args.cores, _parse_count), settings.parsed(_parse_count, "SPARK_WORKER_CORES"))
    return chosen if chosen is not None else usable_cores()


def _memory(args: argparse.Namespace, settings: Settings) -> int:
    chosen = first(
        option("--memory", args.memory, types.parse_memory), settings.parsed(types.parse_memory, "SPARK_WORKER_MEMORY")
    )
    return chosen if chosen is not None else max(total_memory_mib() - 1024, 1024)


def _work_dir(args: argparse.Namespace, settings: Settings, state: Path) -> Path:
    chosen = args.work_dir or settings.variable("SPARK_WORKER_DIR")
    if chosen:
        return Path(chosen).absolute()
    spark_home = settings.variable("SPARK_HOME")
    return (Path(spark_home).absolute() if spark_home else state) / "work"


def _local_dirs(settings: Settings, state: Path) -> tuple[Path, ...]:
    text = settings.variable("SPARK_LOCAL_DIRS")
    if not text:
        return (state / "local",)
    return _paths(text)


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()).absolute() for part in text.split(",") if part.strip())


def _health(settings: Settings) -> HealthConfig:
    script = settings.get("spark.stoker.worker.healthCheck")
    limits = types.parse_free_disk(settings.get("spark.stoker.worker.minFreeDisk"))
    return HealthConfig(
        min_free=MinFree(percent=limits[0], size=limits[1]) if limits is not None else None,
        script=Path(script).absolute() if script else None,
        interval=settings.get("spark.stoker.worker.healthCheckInterval"),
    )


def _cleanup(settings: Settings) -> CleanupConfig:
    ttl = settings.get("spark.worker.cleanup.appDataTtl")
    max_age = settings.get("spark.stoker.worker.cleanup.maxAge")
    return CleanupConfig(
        is_on=settings.get("spark.worker.cleanup.enabled"),
        interval=settings.get("spark.worker.cleanup.interval"),
        max_age=ttl if max_age is None else max_age,
        most=types.parse_disk_part(settings.get("spark.stoker.worker.cleanup.maxBytes")),
        files_at_end=settings.get("spark.stoker.worker.cleanup.onFinish") == "files",
    )


def _rolling(settings: Settings) -> LogRolling:
    name = "spark.executor.logs.rolling.time.interval"
    text = settings.get(name)
    try:
        interval = float(_INTERVALS.get(text) or types.parse_integer(text, 1))
    except UsageError:
        raise ConfigError(f"{name}: {text!r} is none of daily, hourly, minutely or a number of seconds") from None
    return LogRolling(
        strategy=settings.get("spark.executor.logs.rolling.strategy"),
        interval=interval,
        max_bytes=settings.get("spark.executor.logs.rolling.maxSize"),
        max_files=settings.get("spark.executor.logs.rolling.maxRetainedFiles"),
        compress=settings.get("spark.executor.logs.rolling.enableCompression"),
    )
