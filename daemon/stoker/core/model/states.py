"""The states of everything, with Spark's names (spec 7).

``str`` enums because the names are the contract: they appear on the wire, in JSON and on pages as they are.
"""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """Base of states. They are looked up often: the text's own hash is much cheaper than that of ``Enum``."""

    __hash__ = str.__hash__


class MasterState(State):
    """Of a master; only an ALIVE one places and accepts work."""

    STANDBY = "STANDBY"
    RECOVERING = "RECOVERING"
    ALIVE = "ALIVE"


class WorkerState(State):
    """Of a worker, as the leading master sees it."""

    ALIVE = "ALIVE"
    DEAD = "DEAD"
    DECOMMISSIONED = "DECOMMISSIONED"
    UNKNOWN = "UNKNOWN"  # recorded, but not heard of since the master (re)started


class ApplicationState(State):
    """Of an application, from its registration to its end."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    UNKNOWN = "UNKNOWN"  # recorded, but its process has not come back since the master (re)started

    @property
    def is_final(self) -> bool:
        return self in _FINAL_APPLICATION


class DriverState(State):
    """Of a submitted driver, over all its attempts."""

    SUBMITTED = "SUBMITTED"  # queued for a worker
    RUNNING = "RUNNING"  # placed on a worker (launching there, or running)
    RELAUNCHING = "RELAUNCHING"  # supervised, ended, waiting out its back-off before it queues again
    UNKNOWN = "UNKNOWN"  # its worker is away and may come back with it
    FINISHED = "FINISHED"  # exit 0
    FAILED = "FAILED"  # exit other than 0
    KILLED = "KILLED"  # by request
    ERROR = "ERROR"  # could not be run, or lost with its worker and not supervised

    @property
    def is_final(self) -> bool:
        return self in _FINAL_DRIVER


class ExecutorState(State):
    """Of one executor of an application."""

    LAUNCHING = "LAUNCHING"
    RUNNING = "RUNNING"
    KILLED = "KILLED"
    FAILED = "FAILED"
    LOST = "LOST"
    EXITED = "EXITED"
    DECOMMISSIONED = "DECOMMISSIONED"

    @property
    def is_final(self) -> bool:
        return self in _FINAL_EXECUTOR


class JobPhase(Enum):
    """Where a worker is with a driver or executor. Not on the wire: a master knows the states above."""

    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class Role(str, Enum):
    """What a public key may do (docs/security.md). An admin may do all that a client may, to everybody's jobs."""

    MASTER = "master"
    WORKER = "worker"
    CLIENT = "client"
    ADMIN = "admin"


_FINAL_APPLICATION = frozenset({ApplicationState.FINISHED, ApplicationState.FAILED, ApplicationState.KILLED})
_FINAL_DRIVER = frozenset({DriverState.FINISHED, DriverState.FAILED, DriverState.KILLED, DriverState.ERROR})
_FINAL_EXECUTOR = frozenset({ExecutorState.KILLED, ExecutorState.FAILED, ExecutorState.LOST, ExecutorState.EXITED})
