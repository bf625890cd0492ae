"""The states of everything, with Spark's names (spec 7).

``str`` enums because the names are the contract: they appear on the wire, in JSON and on pages as they are.
"""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """Base of states. They are looked up often, so they have the hash of ``str``, which is much cheaper than that of
    ``Enum``."""

    __hash__ = str.__hash__


class MasterState(State):
    """The states of a master."""

    STANDBY = "STANDBY"  # another master leads, or may
    RECOVERING = "RECOVERING"  # elected; waits for workers and applications of its records
    ALIVE = "ALIVE"  # leads: only such a master accepts and places work


class WorkerState(State):
    """The states of a worker, as the leading master sees it."""

    ALIVE = "ALIVE"  # registered, and sends heartbeats
    DEAD = "DEAD"  # its connection ended
    DECOMMISSIONED = "DECOMMISSIONED"  # it reported that it stops for good
    UNKNOWN = "UNKNOWN"  # recorded, but has not registered since the master started


class ApplicationState(State):
    """The states of an application, from its registration to its end."""

    WAITING = "WAITING"  # has no executor
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"  # its process unregistered it
    FAILED = "FAILED"  # its process reported a failure or exited, or too many executors failed
    KILLED = "KILLED"  # by request
    UNKNOWN = "UNKNOWN"  # recorded, but its process has not registered since the master started

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self in _FINAL_APPLICATION


class DriverState(State):
    """The states of a submitted driver, over all its attempts."""

    SUBMITTED = "SUBMITTED"  # queued for a worker
    RUNNING = "RUNNING"  # placed on a worker: starting or running
    RELAUNCHING = "RELAUNCHING"  # supervised; its attempt ended, and it waits before it is queued again
    UNKNOWN = "UNKNOWN"  # its worker is unreachable, and may return with it
    FINISHED = "FINISHED"  # exited with 0
    FAILED = "FAILED"  # exited with another code, or was killed by a signal
    KILLED = "KILLED"  # by request
    ERROR = "ERROR"  # could not be started, or was lost with its worker and is not supervised

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self in _FINAL_DRIVER


class ExecutorState(State):
    """The states of one executor of an application."""

    LAUNCHING = "LAUNCHING"  # granted; its worker starts it
    RUNNING = "RUNNING"
    KILLED = "KILLED"  # by request, or because its application ended
    FAILED = "FAILED"  # could not be started
    LOST = "LOST"  # its worker was lost
    EXITED = "EXITED"  # its process ended by itself, with any exit code
    DECOMMISSIONED = "DECOMMISSIONED"  # Spark's name, for its monitors; no executor gets this state

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self in _FINAL_EXECUTOR


class JobPhase(Enum):
    """A worker's progress with a driver or executor. Not on the wire: a master uses the states above."""

    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class RegistrationPhase(Enum):
    """An application's own view of its registration. Not on the wire: a master uses ``ApplicationState``."""

    REGISTERING = "registering"
    REGISTERED = "registered"
    RECONNECTING = "reconnecting"
    REMOVED = "removed"
    OVER = "over"


class Role(str, Enum):
    """What a public key permits (docs/security.md)."""

    MASTER = "master"
    WORKER = "worker"
    CLIENT = "client"  # submits programs, and kills its own
    ADMIN = "admin"  # as a client, for everybody's jobs; drains and removes workers


_FINAL_APPLICATION = frozenset({ApplicationState.FINISHED, ApplicationState.FAILED, ApplicationState.KILLED})
_FINAL_DRIVER = frozenset({DriverState.FINISHED, DriverState.FAILED, DriverState.KILLED, DriverState.ERROR})
_FINAL_EXECUTOR = frozenset({ExecutorState.KILLED, ExecutorState.FAILED, ExecutorState.LOST, ExecutorState.EXITED})
