"""Stoker: Spark-standalone clusters in Python, run by Ansible.

Everything a program needs is a name of this package (docs/python.md)::

    import stoker

    with stoker.connect("spark://h:7077", name="etl") as app:     # executors for Dask, Ray or a pool
        print(list(app.pool().map(pow, range(10), [2] * 10)))

    with stoker.Client("spark://h:7077") as client:               # submit, watch and kill programs
        print(client.wait(client.submit("etl.py", memory="2g")).state)

The modules below it may move between releases. A name is loaded when it is first used: daemons and commands import this
package too, and pay only for what they use.
"""

from __future__ import annotations

from stoker.version import __version__

TYPE_CHECKING = False  # type checkers take it for true; typing itself is as expensive to import as a small command
if TYPE_CHECKING:
    from stoker.client.api import Client
    from stoker.client.application.app import Application
    from stoker.client.application.connect import App, connect
    from stoker.client.logs.jobs import WatchedDriver
    from stoker.client.submit.submission import DriverOptions
    from stoker.core.application.events import (
        ApplicationEvent,
        Disconnected,
        Executor,
        ExecutorChanged,
        ExecutorGranted,
        GaveUp,
        Registered,
        Removed,
        Stopped,
    )
    from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, MasterState, Role, WorkerState
    from stoker.core.model.values import ApplicationDescription, Artifact, Command, DriverDescription, Exit
    from stoker.core.model.views import AppView, AttemptView, ClusterView, DriverView, ExecutorView, WorkerView
    from stoker.errors import (
        ConfigError,
        NotAuthorized,
        NotFound,
        ProtocolError,
        Refused,
        StokerError,
        Unreachable,
        UsageError,
    )
    from stoker.security.keys import Keys

__all__ = [
    "App",
    "AppView",
    "Application",
    "ApplicationDescription",
    "ApplicationEvent",
    "ApplicationState",
    "Artifact",
    "AttemptView",
    "Client",
    "ClusterView",
    "Command",
    "ConfigError",
    "Disconnected",
    "DriverDescription",
    "DriverOptions",
    "DriverState",
    "DriverView",
    "Executor",
    "ExecutorChanged",
    "ExecutorGranted",
    "ExecutorState",
    "ExecutorView",
    "Exit",
    "GaveUp",
    "Keys",
    "MasterState",
    "NotAuthorized",
    "NotFound",
    "ProtocolError",
    "Refused",
    "Registered",
    "Removed",
    "Role",
    "StokerError",
    "Stopped",
    "Unreachable",
    "UsageError",
    "WatchedDriver",
    "WorkerState",
    "WorkerView",
    "__version__",
    "connect",
]

_MODULES = {
    "client.api": ("Client",),
    "client.application.app": ("Application",),
    "client.application.connect": ("App", "connect"),
    "client.logs.jobs": ("WatchedDriver",),
    "client.submit.submission": ("DriverOptions",),
    "core.application.events": (
        *("ApplicationEvent", "Disconnected", "Executor", "ExecutorChanged", "ExecutorGranted", "GaveUp", "Registered"),
        *("Removed", "Stopped"),
    ),
    "core.model.states": ("ApplicationState", "DriverState", "ExecutorState", "MasterState", "Role", "WorkerState"),
    "core.model.values": ("ApplicationDescription", "Artifact", "Command", "DriverDescription", "Exit"),
    "core.model.views": ("AppView", "AttemptView", "ClusterView", "DriverView", "ExecutorView", "WorkerView"),
    "errors": (
        *("ConfigError", "NotAuthorized", "NotFound", "ProtocolError", "Refused", "StokerError", "Unreachable"),
        "UsageError",
    ),
    "security.keys": ("Keys",),
}
_HOME = {name: f"stoker.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name on its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'stoker' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - most that import this package use no name of it

    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
