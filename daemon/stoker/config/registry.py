"""Every property Stoker knows: name, kind, default, meaning. ``docs/configuration.md`` is checked against
this table, and an unknown name is answered with its nearest neighbour here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from stoker.config import types
from stoker.core.model.values import HIGHEST_PRIORITY, UNLIMITED
from stoker.errors import UsageError

MOST_BODY_BYTES = 64 * 2**20  # of a submission over HTTP: a body is held in memory, once for each request


class Known(msgspec.Struct, frozen=True):
    """``parse`` raises UsageError; ``example`` is shown when it does."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    meaning: str
    example: str


def _whole(least: int) -> Callable[[str], int]:
    return lambda text: types.parse_integer(text, least)


def _free_disk(text: str) -> str:
    types.parse_free_disk(text)
    return text


def _disk_part(text: str) -> str:
    types.parse_disk_part(text)
    return text


def _positive_duration(text: str) -> float:
    seconds = types.parse_duration(text)
    if seconds <= 0:
        raise UsageError(f"{text!r} is not a duration of more than 0 seconds")
    return seconds


def _choice(*choices: str) -> Callable[[str], str]:
    return lambda text: types.parse_choice(text, choices)


def _anonymous_role(text: str) -> str:
    from stoker.security.roles import ROLES  # noqa: PLC0415 - for daemons only

    return types.parse_choice(text, ("none", *ROLES))


def _body_bytes(text: str) -> int:
    size = types.parse_bytes(text)
    if size < 1024:
        raise UsageError(f"{text!r} is less than 1k")
    return min(size, MOST_BODY_BYTES)


def _message_bytes(text: str) -> int:
    size = types.parse_bytes(text)
    if size < 2 * 2**20:
        raise UsageError(f"{text!r} is less than 2m")
    return size


def _patterns(text: str) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(part.strip()) for part in text.split(",") if part.strip())
    except re.error as error:
        raise UsageError(f"{text!r} is not a list of regular expressions: {error}") from None


_SELECTIONS = ("CORES_FREE_DESC", "CORES_FREE_ASC", "MEMORY_FREE_DESC", "MEMORY_FREE_ASC", "WORKER_ID")

PROPERTIES: dict[str, Known] = {
    known.name: known
    for known in (
        # Master
        Known("spark.deploy.recoveryMode", _choice("NONE", "FILESYSTEM", "ZOOKEEPER"), "NONE",
              "where the master's records survive it: nowhere, in a directory, in ZooKeeper", "FILESYSTEM"),
        Known("spark.deploy.recoveryDirectory", str, "",
              "where FILESYSTEM keeps its records", "/var/lib/stoker/recovery"),
        Known("spark.deploy.recoveryTimeout", _positive_duration, None,
              "how long a recovering master waits for workers and applications that do not answer"
              " (default: spark.worker.timeout)",
              "60s"),
        Known("spark.deploy.zookeeper.url", types.parse_zookeeper_url, "",
              "the ZooKeeper ensemble", "zk1:2181,zk2:2181"),
        Known("spark.deploy.zookeeper.dir", str, "/spark", "folder of the records in ZooKeeper", "/spark"),
        Known("spark.stoker.zookeeper.sessionTimeout", _positive_duration, 6.0,
              "silence after which ZooKeeper declares a master dead and another may lead", "6s"),
        Known("spark.stoker.zookeeper.authFile", str, "",
              "file with USER:PASSWORD: only this identity may read and write the cluster's nodes",
              "/etc/stoker/zookeeper.auth"),
        Known("spark.stoker.zookeeper.tls.ca", str, "",
              "PEM file of the authority that signs ZooKeeper's certificates; with it, masters speak TLS with ZooKeeper",
              "/etc/stoker/zookeeper-ca.pem"),
        Known("spark.stoker.zookeeper.tls.certChain", str, "",
              "PEM file of the master's own certificate for ZooKeeper, if ZooKeeper asks for one",
              "/etc/stoker/tls/cert.pem"),
        Known("spark.stoker.zookeeper.tls.privateKey", str, "", "PEM file of its private key", "/etc/stoker/tls/key.pem"),
        Known("spark.deploy.retainedApplications", _whole(0), 200, "completed applications kept", "200"),
        Known("spark.deploy.retainedDrivers", _whole(0), 200, "completed drivers kept", "200"),
        Known("spark.deploy.spreadOutApps", types.parse_bool, True,
              "spread an application over workers, or pack it on few", "true"),
        Known("spark.deploy.spreadOut", types.parse_bool, True, "older name of spark.deploy.spreadOutApps", "true"),
        Known("spark.deploy.spreadOutDrivers", types.parse_bool, True, "spread drivers over workers", "true"),
        Known("spark.deploy.workerSelectionPolicy", _choice(*_SELECTIONS), "CORES_FREE_DESC",
              "which workers an application is offered first", "CORES_FREE_DESC"),
        Known("spark.deploy.defaultCores", _whole(1), UNLIMITED,
              "cores of an application that sets no spark.cores.max (default: unlimited)", "8"),
        Known("spark.deploy.maxDrivers", _whole(1), UNLIMITED, "drivers running at once (default: unlimited)", "100"),
        Known("spark.deploy.maxExecutorRetries", _whole(-UNLIMITED), 10,
              "executor failures in a row until an application is given up; negative: never", "10"),
        Known("spark.dead.worker.persistence", _whole(0), 15,
              "how many times spark.worker.timeout a dead worker stays listed", "15"),
        Known("spark.master.ui.port", types.parse_port, 8080, "port of the master's dashboard", "8080"),
        Known("spark.master.ui.title", str, "", "title of the master's dashboard", "Production"),
        Known("spark.ui.killEnabled", types.parse_bool, True, "kill buttons on the dashboard", "true"),
        Known("spark.master.rest.enabled", types.parse_bool, True,
              "submissions over HTTP, as Spark's clients make them", "true"),
        Known("spark.master.rest.host", str, "",
              "host that this port listens on (default: where the dashboard listens)", "10.0.0.5"),
        Known("spark.master.rest.port", types.parse_port, 6066, "port of submissions over HTTP", "6066"),
        Known("spark.master.rest.maxRequestBodySize", _body_bytes, 2**20,
              "largest submission over HTTP (at most 64m)", "1m"),
        Known("spark.master.rest.allowedAppResourcePatterns", _patterns, None,
              "regular expressions, comma separated, one of which a program's URL must match", "hdfs://apps/.*"),
        Known("spark.stoker.upload.directory", str, "",
              "where uploaded files are kept (default: the master's state folder); with several masters one that all share",
              "/mnt/shared/stoker/uploads"),
        Known("spark.stoker.upload.maxSize", types.parse_bytes, 2**30, "largest file a submitter may upload", "1g"),
        Known("spark.stoker.limits.name", types.parse_bytes, 1024,
              "largest name of a driver, an application, a user, a file or a worker, in bytes", "1k"),
        Known("spark.stoker.limits.description", types.parse_bytes, 256 * 2**10,
              "largest submission: arguments, environment and properties together, in bytes", "256k"),
        Known("spark.stoker.limits.message", _message_bytes, 4 * 2**20, "largest message of a client (at least 2m)", "4m"),
        Known("spark.stoker.limits.queued", _message_bytes, 64 * 2**20,
              "most bytes that a client leaves unread before it is disconnected (at least 2m)", "64m"),
        Known("spark.stoker.limits.uploads", _whole(1), 100, "open uploads of one principal", "100"),
        Known("spark.stoker.limits.uploadBytes", types.parse_bytes, 50 * 2**30, "most bytes of all uploads together",
              "50g"),
        Known("spark.stoker.limits.logQuestions", _whole(1), 2000,
              "questions about output of one principal that wait for an answer", "2000"),
        Known("spark.stoker.limits.searches", _whole(1), 20, "of these, searches", "20"),
        Known("spark.stoker.limits.watches", _whole(1), 10_000, "drivers that one connection watches", "10000"),
        Known("spark.stoker.supervise.maxBackoff", types.parse_duration, 60.0,
              "longest wait before a supervised driver is restarted", "60s"),
        Known("spark.stoker.executor.maxBackoff", types.parse_duration, 5.0,
              "longest wait before a failed executor is replaced", "5s"),
        Known("spark.stoker.gateway.enabled", types.parse_bool, False,
              "accept unmodified Spark clients on the master's port", "true"),
        Known("spark.stoker.gateway.open", types.parse_bool, False,
              "accept them without a secret: all users of this machine, and other machines", "false"),
        Known("spark.stoker.gateway.secretsFile", str, "",
              "file of masters with a secret for each name of Spark clients (NAME [POOL] SECRET), 0600",
              "/etc/stoker/secrets/spark-clients"),
        Known("spark.network.crypto.saslFallback", types.parse_bool, True,
              "accept Spark clients that prove the secret by SASL, which does not encrypt", "false"),
        Known("spark.network.crypto.cipher", _choice("AES/CTR/NoPadding", "AES/GCM/NoPadding"), "AES/CTR/NoPadding",
              "AES/GCM/NoPadding: accept only Spark clients that encrypt with it; else they choose", "AES/GCM/NoPadding"),
        # Worker
        Known("spark.worker.timeout", _positive_duration, 60.0,
              "silence after which a worker or application counts as lost; heartbeats come four times as often", "60s"),
        Known("spark.worker.ui.port", types.parse_port, 8081, "port of the worker's dashboard", "8081"),
        Known("spark.worker.cleanup.enabled", types.parse_bool, True,
              "remove directories of ended drivers and executors; false: all settings of cleanup have no effect", "false"),
        Known("spark.worker.cleanup.interval", _positive_duration, 1800.0,
              "how often to look for directories to remove", "1800"),
        Known("spark.worker.cleanup.appDataTtl", types.parse_duration, 604800.0,
              "Spark's name of spark.stoker.worker.cleanup.maxAge, which wins", "604800"),
        Known("spark.stoker.worker.cleanup.maxAge", types.parse_age, None,
              "how long after a job's end its directory is removed, with its logs; none: never for its age (default:"
              " spark.worker.cleanup.appDataTtl)", "3d"),
        Known("spark.stoker.worker.cleanup.maxBytes", _disk_part, "20%",
              "most that directories of ended jobs take together, as bytes or percent of the disk: beyond it the longest"
              " ended lose their files, and last their logs; none: no limit", "50g"),
        Known("spark.stoker.worker.cleanup.onFinish", _choice("keep", "files"), "keep",
              "files: as soon as a job has ended, remove its directory's files except its logs", "files"),
        Known("spark.worker.driverTerminateTimeout", types.parse_duration, 10.0,
              "time between TERM and KILL when a process is stopped", "10s"),
        Known("spark.stoker.worker.reconnectTimeout", _positive_duration, 10.0,
              "how long a worker daemon may be unreachable before its processes count as lost and are stopped", "10s"),
        Known("spark.stoker.worker.minFreeDisk", _free_disk, "5%,2g",
              "a worker gets no new jobs while one of its disks has less than both free; 0: disks are not measured",
              "10%,5g"),
        Known("spark.stoker.worker.healthCheck", str, "",
              "program that each worker runs; while it fails, hangs or cannot run, the worker gets no new jobs",
              "/etc/stoker/health"),
        Known("spark.stoker.worker.healthCheckInterval", _positive_duration, 60.0, "how often it runs", "60s"),
        Known("spark.stoker.worker.limits", _choice("off", "account", "enforce"), "account",
              "measure what jobs use (account), also hold them to what they asked for (enforce), or neither (off)",
              "enforce"),
        Known("spark.stoker.worker.cpu", _choice("soft", "hard"), "soft",
              "with enforce: cores are shares of a busy machine (soft), or a limit too (hard)", "hard"),
        Known("spark.stoker.worker.maxProcesses", _whole(1), 8192,
              "with enforce: most processes and threads of one driver or executor", "8192"),
        Known("spark.stoker.worker.runAs", _choice("off", "mapped", "required"), "off",
              "run jobs as their submitters' accounts: none (off), those that have one (mapped), all (required)", "required"),
        Known("spark.stoker.worker.minUid", _whole(1), 1000,
              "lowest uid that a job may run as; counts only in spark-defaults.conf", "1000"),
        Known("spark.worker.resourcesFile", str, "",
              "file with the addresses of named resources that the worker offers, as Spark has it", "/etc/spark/gpus.json"),
        Known("spark.stoker.worker.gpu", _choice("off", "auto"), "off",
              "auto: where nothing else names GPUs, offer those that nvidia-smi or rocm-smi finds", "auto"),
        Known("spark.stoker.worker.discoveryTimeout", _positive_duration, 30.0,
              "how long a discovery script may take before the worker's start fails", "30s"),
        Known("spark.stoker.spark.home", str, "",
              "folders of Spark distributions, or of folders of them, comma separated (default: $SPARK_HOME and the"
              " pyspark package)", "/opt/spark"),
        Known("spark.stoker.spark.classDataSharing", types.parse_bool, True,
              "make an archive of Spark's classes, once for each Spark, so that its executors start faster", "false"),
        Known("spark.stoker.spark.unpackPython", types.parse_bool, True,
              "unpack Spark's Python files, once for each Spark, so that the Python of its executors starts faster",
              "false"),
        Known("spark.executor.logs.rolling.strategy", _choice("", "time", "size"), "",
              "roll executor logs by time or size", "size"),
        Known("spark.executor.logs.rolling.time.interval", str, "daily",
              "daily, hourly, minutely or a number of seconds", "daily"),
        Known("spark.executor.logs.rolling.maxSize", types.parse_bytes, 1048576, "bytes after which to roll",
              "1048576"),
        Known("spark.executor.logs.rolling.maxRetainedFiles", _whole(-1), -1, "rolled files kept; -1: all", "10"),
        Known("spark.executor.logs.rolling.enableCompression", types.parse_bool, False, "gzip rolled files", "true"),
        # Both daemons
        Known("spark.stoker.web.host", str, "",
              "where dashboards and HTTP interfaces listen (default: the daemon's host if one was chosen, else loopback)",
              "10.0.0.5"),
        Known("spark.stoker.web.anonymous", _anonymous_role, "",
              "role of HTTP clients without a token: none, viewer, submitter, operator or admin"
              " (default: viewer on loopback, none elsewhere)", "viewer"),
        Known("spark.stoker.web.trustLocalUser", types.parse_bool, True,
              "the daemon's own user and root need no token from the same machine", "true"),
        Known("spark.stoker.web.sessionTimeout", _positive_duration, 43200.0,
              "a dashboard session ends after this long without a request", "12h"),
        Known("spark.ssl.standalone.enabled", types.parse_bool, False, "serve dashboards and HTTP interfaces over TLS",
              "true"),
        Known("spark.ssl.standalone.certChain", str, "", "PEM file of the certificate and its chain",
              "/etc/stoker/tls/cert.pem"),
        Known("spark.ssl.standalone.privateKey", str, "", "PEM file of its private key", "/etc/stoker/tls/key.pem"),
        Known("spark.ssl.standalone.port", types.parse_port, None,
              "port of the dashboards over TLS (default: the ports they have without it)", "8480"),
        Known("spark.ssl.enabled", types.parse_bool, False, "the same, where spark.ssl.standalone.enabled is not set",
              "true"),
        Known("spark.ssl.certChain", str, "", "used where spark.ssl.standalone.certChain is not set",
              "/etc/stoker/tls/cert.pem"),
        Known("spark.ssl.privateKey", str, "", "used where spark.ssl.standalone.privateKey is not set",
              "/etc/stoker/tls/key.pem"),
        Known("spark.authenticate", types.parse_bool, True,
              "keys and encryption on every connection (Spark's default is false)", "true"),
        Known("spark.authenticate.secret", str, "",
              "secret that a Spark client must present to the gateway; its executors receive it", "SECRET"),
        Known("spark.authenticate.secret.file", str, "",
              "file with that secret, readable by the daemons' user only", "/etc/stoker/secrets/spark"),
        Known("spark.port.maxRetries", _whole(0), 16, "further ports tried when one is taken", "16"),
        Known("spark.stoker.log.mode", _choice("0600", "0640"), "0640",
              "mode of log files, 0600 or 0640; the umask of daemons and their jobs allows other users as much", "0600"),
        Known("spark.stoker.audit.file", str, "",
              "file of the audit trail (default: audit.log in the daemons' state folder)", "/var/lib/stoker/audit.log"),
        Known("spark.stoker.audit.syslog", types.parse_syslog, "",
              "syslog that gets the audit trail too: its socket, or HOST:PORT (UDP)", "/dev/log"),
        Known("spark.stoker.state.dir", str, "", "folder for the daemons' own files", "/var/lib/stoker"),
        # Submissions
        Known("spark.master", types.parse_master_url, None, "the master URL", "spark://host:7077"),
        Known("spark.app.name", str, "", "name of the driver or application", "etl"),
        Known("spark.cores.max", _whole(1), None, "total cores of an application", "10"),
        Known("spark.executor.cores", _whole(1), None, "cores of each executor", "2"),
        Known("spark.executor.memory", types.parse_memory, 1024, "memory of each executor", "1g"),
        Known("spark.pyspark.python", str, "",
              "Python of executors and of Python drivers (default: PYSPARK_PYTHON, else Stoker's own)",
              "/opt/science/bin/python"),
        Known("spark.pyspark.driver.python", str, "",
              "Python of Python drivers (default: spark.pyspark.python, else PYSPARK_DRIVER_PYTHON)",
              "/opt/science/bin/python"),
        Known("spark.submit.pyFiles", str, "",
              "modules that executors of `stoker.connect` can import: .py, .zip, .egg, .whl, comma separated",
              "helpers.py,lib.zip"),
        Known("spark.driver.host", str, "",
              "address where a driver's engine listens for its executors (default: the one it reaches the master from)",
              "10.0.0.7"),
        Known("spark.driver.port", types.parse_port, 0, "port where it listens; 0: any", "40000"),
        Known("spark.dynamicAllocation.enabled", types.parse_bool, False,
              "add and remove executors as the work requires (`stoker.connect`)", "true"),
        Known("spark.dynamicAllocation.minExecutors", _whole(0), 0, "fewest executors", "1"),
        Known("spark.dynamicAllocation.initialExecutors", _whole(0), None,
              "executors at the start (default: the fewest)", "2"),
        Known("spark.dynamicAllocation.maxExecutors", _whole(1), UNLIMITED, "most executors", "20"),
        Known("spark.standalone.submit.filterEnvironment", types.parse_bool, True,
              "send only the SPARK_* variables of the submitter's environment (false: all variables)", "true"),
        Known("spark.standalone.submit.waitAppCompletion", types.parse_bool, False,
              "`stoker submit` and `stoker launch` wait for the driver's end, as with --wait", "true"),
        Known("spark.driver.cores", _whole(0), 1, "cores of the driver; 0 for a driver that only waits for others",
              "1"),
        Known("spark.driver.memory", types.parse_memory, 1024, "memory of the driver", "1g"),
        Known("spark.driver.supervise", types.parse_bool, False, "restart the driver when it fails", "true"),
        Known("spark.stoker.spark.release", str, "",
              "release of Spark that a submitted jar needs (default, and when it is missing: the newest)", "3.5"),
        Known("spark.stoker.pool", str, "",
              "pool that a submission is charged to (with a pools.yml; default: the pool named default)", "etl"),
        Known("spark.yarn.queue", str, "", "the same, as Spark names it for YARN; where there are no pools: no effect",
              "etl"),
        Known("spark.stoker.priority", _whole(-HIGHEST_PRIORITY), None,
              "within its pool, a higher number goes first (default: the pool's)", "5"),
        Known("spark.stoker.driver.maxRestarts", _whole(-1), -1,
              "restarts of a supervised driver after failures; -1: no limit", "10"),
        Known("spark.stoker.timeLimit", types.parse_time_limit, 0.0,
              "how long one attempt of a driver, or one executor of an application, may run (default: no limit)", "2h"),
        Known("spark.stoker.driver.maxDisk", types.parse_disk_limit, 0,
              "disk that a driver's directory may take; a driver that takes more is stopped (default: no limit)", "20g"),
        Known("spark.stoker.executor.maxDisk", types.parse_disk_limit, 0,
              "the same of each executor, with its part of its application's scratch space on its worker", "20g"),
        Known("spark.stoker.app.minExecutors", _whole(1), 1,
              "how many executors an application needs at once to begin; it waits until all of them fit", "4"),
    )
}  # fmt: skip

# Families of properties, whose names have a part that users choose: name -> meaning.
FAMILIES: dict[str, str] = {
    "spark.worker.resource.NAME.amount": "how many addresses of the named resource the worker offers",
    "spark.worker.resource.NAME.discoveryScript":
        'program that prints them: {"name": "gpu", "addresses": ["0", "1"]}',
    "spark.worker.resource.NAME.vendor": "accepted, without effect",
}  # fmt: skip
_FAMILY = re.compile("|".join(re.escape(name).replace("NAME", "[^.]+") for name in FAMILIES))


def is_of_family(name: str) -> bool:
    """Return whether the property belongs to one of ``FAMILIES``."""
    return _FAMILY.fullmatch(name) is not None


# A key store of Java's: with TLS on, these need certChain and privateKey beside them.
KEY_STORES = tuple(
    f"spark.ssl.{scope}{name}"
    for scope in ("standalone.", "")
    for name in ("keyStore", "keyStorePassword", "keyStoreType", "keyPassword")
)

OUR_NAMESPACES = ("spark.deploy.", "spark.worker.", "spark.master.", "spark.stoker.")
