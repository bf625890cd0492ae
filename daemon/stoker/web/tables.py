"""The tables of the master's pages: columns (after Spark's, spec 15.1), sort keys, and searchable text."""

from __future__ import annotations

from stoker.core.model.filters import app_text, driver_text, worker_text
from stoker.core.model.pools import DEFAULT_POOL
from stoker.core.model.values import Exit
from stoker.core.model.views import AppView, DriverView, WorkerView
from stoker.web.listing import Column, Table

RUNNING = 1e11  # seconds since the Unix epoch: later than any end


def _exit(driver: DriverView) -> Exit:
    return driver.attempts[-1].exit if driver.attempts else Exit()


def _ran_for(driver: DriverView) -> float:
    """Return a number that sorts as the seconds of the latest attempt do; still running ones last as long as they are old."""
    last = driver.attempts[-1] if driver.attempts else None
    return 0.0 if last is None else (last.ended or RUNNING) - last.started


def _pool(job: DriverView | AppView) -> str:
    return job.pool or DEFAULT_POOL


def _place(job: DriverView | AppView) -> tuple[str, int]:
    """Return a key by which a pool's jobs of high priority come first."""
    return _pool(job), -job.priority


WORKERS: Table[WorkerView] = Table(
    "workers",
    "Workers",
    (
        Column("Worker Id", "id", lambda worker: worker.id),
        Column("Address", "address", lambda worker: (worker.host, worker.port), minor=True),
        Column("State", "state", lambda worker: worker.shown_state.value),
        Column("Cores", "cores", lambda worker: (worker.cores_used, worker.cores)),
        Column("Memory", "memory", lambda worker: (worker.memory_used_mib, worker.memory_mib)),
    ),
    worker_text,
    lambda worker: worker.shown_state.value,
)

_APP_COLUMNS: tuple[Column[AppView], ...] = (
    Column("Application ID", "id", lambda app: app.id),
    Column("Name", "name", lambda app: app.name),
    Column("Cores", "cores", lambda app: app.cores_granted, number=True),
    Column("Memory per Executor", "memory", lambda app: app.memory_mib, number=True, minor=True, wide=True),
    Column("Submitted Time", "submitted", lambda app: app.submitted, minor=True),
    Column("User", "user", lambda app: app.who),
    Column("Pool", "pool", _place, of_pools=True),
    Column("State", "state", lambda app: app.state.value),
    Column("Duration", "duration", lambda app: (app.ended or 0) - app.submitted, number=True),
)
ACTIVE_APPS = Table(
    "apps",
    "Running Applications",
    _APP_COLUMNS,
    app_text,
    lambda app: app.state.value,
    "No application is registered. Run a command on every executor: stoker run --total-executor-cores 2 -- hostname",
    _pool,
)
COMPLETED_APPS = Table(
    "completed-apps", "Completed Applications", _APP_COLUMNS, app_text, lambda app: app.state.value, "None yet.", _pool
)

_DRIVER_COLUMNS: tuple[Column[DriverView], ...] = (
    Column("Submission ID", "id", lambda driver: driver.id),
    Column("Name", "name", lambda driver: driver.name.lower()),
    Column("User", "user", lambda driver: driver.who),
    Column("Pool", "pool", _place, of_pools=True),
    Column("State", "state", lambda driver: driver.state.value),
    Column("Exit", "exit", lambda driver: _exit(driver).status or 0),
    Column("Started", "started", lambda driver: driver.started, minor=True),
    Column("Ran for", "ran", _ran_for, number=True),
    Column("Needs", "cores", lambda driver: (driver.cores, driver.memory_mib), minor=True, wide=True),
    Column("Worker", "worker", lambda driver: (driver.worker_host, driver.worker_id), minor=True, wide=True),
)


ACTIVE_DRIVERS = Table(
    "drivers",
    "Running Drivers",
    _DRIVER_COLUMNS,
    driver_text,
    lambda driver: driver.state.value,
    "No driver runs or waits. Submit a program: stoker submit job.py",
    _pool,
)
COMPLETED_DRIVERS = Table(
    "completed-drivers",
    "Completed Drivers",
    _DRIVER_COLUMNS,
    driver_text,
    lambda driver: driver.state.value,
    "None yet.",
    _pool,
)
