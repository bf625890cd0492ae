"""The tables of the master's pages: columns (Spark's, spec 15.1), sort keys, and searchable text."""

from __future__ import annotations

from stoker.core.model.filters import app_text, driver_text, worker_text
from stoker.core.model.views import AppView, DriverView, WorkerView
from stoker.web.listing import Column, Table

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
    Column("Memory per Executor", "memory", lambda app: app.memory_mib, number=True, minor=True),
    Column("Submitted Time", "submitted", lambda app: app.submitted, minor=True),
    Column("User", "user", lambda app: app.who, minor=True),
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
)
COMPLETED_APPS = Table(
    "completed-apps", "Completed Applications", _APP_COLUMNS, app_text, lambda app: app.state.value, "None yet."
)

_DRIVER_COLUMNS: tuple[Column[DriverView], ...] = (
    Column("Submission ID", "id", lambda driver: driver.id),
    Column("Submitted Time", "submitted", lambda driver: driver.submitted, minor=True),
    Column("Worker", "worker", lambda driver: driver.worker_id, minor=True),
    Column("State", "state", lambda driver: driver.state.value),
    Column("Cores", "cores", lambda driver: driver.cores, number=True),
    Column("Memory", "memory", lambda driver: driver.memory_mib, number=True, minor=True),
    Column("Main Class", "main", lambda driver: driver.main_class or driver.main, minor=True),
)
ACTIVE_DRIVERS = Table(
    "drivers",
    "Running Drivers",
    (*_DRIVER_COLUMNS, Column("Duration", "duration", lambda driver: -driver.submitted, number=True)),
    driver_text,
    lambda driver: driver.state.value,
    "No driver runs or waits. Submit a program: stoker submit job.py",
)
COMPLETED_DRIVERS = Table(
    "completed-drivers",
    "Completed Drivers",
    _DRIVER_COLUMNS,
    driver_text,
    lambda driver: driver.state.value,
    "None yet.",
)
