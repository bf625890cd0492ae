"""Limits and measurement of jobs, as this worker was told to and as its machine allows."""

from __future__ import annotations

from stoker.config.types import parse_memory
from stoker.config.worker import LimitsConfig
from stoker.core.worker.jobs import AnyJob, DriverJob
from stoker.errors import ConfigError, StokerError, UsageError
from stoker.worker.groups.account import JobLimits
from stoker.worker.groups.tree import NoTree, take

_MIB = 1 << 20
_LEAST_OVERHEAD_MIB = 384  # as Spark's for a JVM
_OVERHEAD = 0.1  # of the memory, likewise
_OVERHEAD_PROPERTY = "spark.driver.memoryOverhead"


class LimitsInForce:
    """``tree`` is the worker's control groups; "" where it has none, or needs none."""

    def __init__(self, config: LimitsConfig, tree: str, words: str) -> None:
        self.words = words  # for people
        self._config, self._tree = config, tree

    @classmethod
    def found(cls, config: LimitsConfig) -> LimitsInForce:
        """Take the worker's control groups, if it has any. Raises ConfigError if limits must be enforced and cannot."""
        if config.mode == "off":
            return cls(config, "", "off")
        is_enforced = config.mode == "enforce"
        try:
            return cls(config, take(move_others=is_enforced), f"{config.mode}, by control groups")
        except NoTree as error:
            if is_enforced:
                raise ConfigError(
                    f"spark.stoker.worker.limits enforce: {error}; or set spark.stoker.worker.limits account"
                ) from None
            return cls(config, "", "account, by processes (no control groups: 'enforce' is not possible here)")

    def of(self, job: AnyJob) -> JobLimits | None:
        """Return what the keeper must know of a job; None if it is not measured. Raises StokerError for an invalid
        property."""
        if self._config.mode == "off":
            return None
        if not self._tree:
            return {}
        if self._config.mode == "account":
            return {"tree": self._tree}
        return {
            "tree": self._tree,
            "enforce": True,
            "memory": (job.memory_mib + overhead_mib(job)) * _MIB if job.memory_mib else 0,
            "weight": 100 * job.cores or 10,
            "cpus": float(job.cores) if self._config.hard_cpu else 0.0,
            "processes": self._config.processes,
        }


def overhead_mib(job: AnyJob) -> int:
    """Return the memory that a job gets beyond what it asked for: a JVM needs more than its heap."""
    if isinstance(job, DriverJob):
        chosen = job.driver.conf.get(_OVERHEAD_PROPERTY)
        if chosen is not None:
            try:
                return parse_memory(chosen)
            except UsageError as error:
                raise StokerError(f"{_OVERHEAD_PROPERTY}: {error}") from None
        is_jvm = job.driver.kind == "jar"
    elif job.app.spark is not None and job.app.spark.overhead_mib is not None:
        return job.app.spark.overhead_mib
    else:
        is_jvm = job.app.spark is not None
    return max(_LEAST_OVERHEAD_MIB, int(job.memory_mib * _OVERHEAD)) if is_jvm else 0
