"""Which daemon reads a setting: the playbooks restart only the daemons that read what has changed.

A setting that is not listed counts as read by both. ``tests/unit/config/test_readers.py`` checks the lists against what the
daemons' configurations do with every known setting."""

from __future__ import annotations

from collections.abc import Mapping

from stoker.config.sources import Daemon

# Names, and prefixes that end in "." or "_".
_MASTER = (
    "spark.deploy.", "spark.dead.worker.persistence", "spark.master.", "spark.stoker.executor.maxBackoff",
    "spark.stoker.gateway.", "spark.stoker.supervise.maxBackoff", "spark.stoker.upload.", "spark.stoker.zookeeper.",
    "SPARK_MASTER_OPTS", "SPARK_MASTER_WEBUI_PORT",
)  # fmt: skip
_WORKER = (
    "spark.executor.logs.rolling.", "spark.stoker.spark.classDataSharing", "spark.stoker.spark.home",
    "spark.stoker.spark.unpackPython", "spark.stoker.worker.discoveryTimeout", "spark.stoker.worker.gpu",
    "spark.stoker.worker.healthCheck", "spark.stoker.worker.healthCheckInterval", "spark.stoker.worker.minFreeDisk",
    "spark.stoker.worker.cleanup.", "spark.worker.cleanup.", "spark.worker.driverTerminateTimeout",
    "spark.worker.resource.", "spark.worker.resourcesFile", "spark.worker.ui.port", "SPARK_LOCAL_DIRS", "SPARK_WORKER_",
)  # fmt: skip
SUBMISSIONS = (
    "spark.app.name", "spark.cores.max", "spark.driver.", "spark.dynamicAllocation.", "spark.executor.cores",
    "spark.executor.memory", "spark.standalone.submit.", "spark.stoker.driver.maxDisk", "spark.stoker.driver.maxRestarts",
    "spark.stoker.app.minExecutors", "spark.stoker.executor.maxDisk", "spark.stoker.spark.release",
    "spark.stoker.pool", "spark.stoker.priority", "spark.stoker.timeLimit", "spark.submit.pyFiles",
    "spark.yarn.queue",
)  # fmt: skip


def is_read_by(daemon: Daemon, name: str) -> bool:
    """Whether the daemon may read this property or variable."""
    others = _WORKER if daemon == "master" else _MASTER
    return not any(covers(entry, name) for entry in (*others, *SUBMISSIONS))


def read_settings(daemon: Daemon, settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of the settings (properties or variables, by name) that the daemon may read."""
    return {name: value for name, value in settings.items() if is_read_by(daemon, name)}


def covers(entry: str, name: str) -> bool:
    """Return whether an entry of the lists above, a name or a prefix, covers the setting."""
    return name.startswith(entry) if entry.endswith((".", "_")) else name == entry
