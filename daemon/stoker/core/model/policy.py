"""The master's settings as plain values (spec 5)."""

# Annotations stay values, as in messages.py.

from typing import Literal

from stoker.core.model.values import UNLIMITED, Value

WorkerSelection = Literal["CORES_FREE_DESC", "CORES_FREE_ASC", "MEMORY_FREE_DESC", "MEMORY_FREE_ASC", "WORKER_ID"]


class Policy(Value, frozen=True):
    """Times in seconds."""

    spread_out_apps: bool = True  # spark.deploy.spreadOutApps (spreadOut)
    spread_out_drivers: bool = True  # spark.deploy.spreadOutDrivers
    worker_selection: WorkerSelection = "CORES_FREE_DESC"  # spark.deploy.workerSelectionPolicy
    default_cores: int = UNLIMITED  # spark.deploy.defaultCores
    max_drivers: int = UNLIMITED  # spark.deploy.maxDrivers: running at once
    max_executor_retries: int = 10  # spark.deploy.maxExecutorRetries; negative: never give up
    retained_apps: int = 200  # spark.deploy.retainedApplications
    retained_drivers: int = 200  # spark.deploy.retainedDrivers
    worker_timeout: float = 60.0  # spark.worker.timeout
    recovery_timeout: float = 60.0  # spark.deploy.recoveryTimeout
    reconnect_timeout: float = 10.0  # spark.stoker.worker.reconnectTimeout
    # An application that came back waits this long for its workers to come back: more than their longest back-off (2 s).
    takeover_grace: float = 3.0
    dead_worker_persistence: int = 15  # spark.dead.worker.persistence: times worker_timeout a DEAD worker stays listed
    supervise_backoff_first: float = 1.0
    supervise_backoff_cap: float = 60.0  # spark.stoker.supervise.maxBackoff
    supervise_healthy_run: float = 5.0  # a run longer than this resets the back-off (spec 11)
    avoid_first: float = 2.0  # pause of a worker that refused a job; doubled with each refusal in a row
    avoid_cap: float = 60.0
    executor_backoff_first: float = 0.1
    executor_backoff_cap: float = 5.0  # spark.stoker.executor.maxBackoff
    watches: int = 10_000  # spark.stoker.limits.watches: drivers that a connection watches
