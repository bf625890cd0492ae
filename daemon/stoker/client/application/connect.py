"""``stoker.connect``: an application of the cluster whose executors are the workers of Dask or Ray.

    with stoker.connect("spark://h:7077", name="etl", conf={"spark.cores.max": 8}) as app:
        client = app.dask()           # a dask.distributed.Client
        pool = app.pool()             # the same as a concurrent.futures.Executor

The engine's own scheduler runs beside the driver and ends with it. When the driver ends, for any reason, its executors end.
"""

from __future__ import annotations

import argparse
import atexit
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, TypeVar

from stoker.client.api import Client
from stoker.client.application.app import Application
from stoker.client.application.engine_watch import EngineWatch
from stoker.client.application.resources import (
    min_executors,
    resources_of,
    wanted_sharing,
    with_queue,
    with_submitted,
)
from stoker.client.notices import say
from stoker.config.client import ClientConfig, client_config, user_name
from stoker.core.application.events import Executor
from stoker.core.model.states import ApplicationState
from stoker.core.model.values import ApplicationDescription
from stoker.engines.base import Engine, Resources
from stoker.errors import Refused, UsageError
from stoker.security.keys import Keys

if TYPE_CHECKING:
    import distributed

    from stoker.engines.dask import DaskEngine
    from stoker.engines.pool import ExecutorPool

E = TypeVar("E", bound=Engine)

VERIFY_TIMEOUT = 20.0  # seconds without a leading master until connecting is given up (spec 9.4)


def connect(master: str | None = None, *, name: str = "", conf: Mapping[str, object] | None = None) -> App:
    """Connect to a cluster; return an application, which registers when its engine is chosen.

    ``master`` is a ``spark://`` URL; None: found as commands find it (MASTER, ``spark-env``, the client profile). ``name``
    is shown by ``stoker status``; "": the program's file name. ``conf`` are ``spark.*`` properties; they win over
    ``spark-defaults.conf``.

    Raises UsageError and ConfigError for malformed input, Unreachable when no master answers within 20 seconds, and
    NotAuthorized without an admitted key.
    """
    properties = with_submitted(conf or {}, os.environ)
    words = [f"{key}={value}" for key, value in properties.items()]
    config = client_config(argparse.Namespace(master=master, conf=words), os.environ)
    for warning in config.warnings:
        say(f"warning: {warning}")
    with Client(config=config, timeout=VERIFY_TIMEOUT, notice=say) as client:
        url = client.cluster().url
    resources = resources_of(config, os.environ, master_url=url)
    return App(config, resources, name=name or config.properties.get("spark.app.name") or _program())


class App:
    """An application with one engine, as ``connect`` returns it. All methods may be called from any thread.

    As a context manager it ends as FINISHED, after an error as FAILED, after Ctrl-C as KILLED.
    """

    def __init__(self, config: ClientConfig, resources: Resources, *, name: str) -> None:
        self.name = name
        self.master: str = config.url
        self._config = config
        self._resources = resources
        self._starting = threading.Lock()
        self._ending = threading.Lock()
        self._engine: Engine | None = None
        self._application: Application | None = None
        self._is_closed = False

    # --- engines -----------------------------------------------------------------------------------------------------

    def dask(self, *, dashboard: str | None = None, timeout: float | None = None) -> distributed.Client:
        """Return a ``dask.distributed.Client`` whose workers are this application's executors, as soon as the first one has
        connected. Later calls return the same client.

        ``dashboard`` is ``HOST:PORT`` for Dask's own pages; everybody who reaches that address can read them. ``timeout`` is
        in seconds (None: unlimited).

        Raises Refused, with the fix, when Dask is missing on this machine or on all workers or when another engine was
        chosen, Unreachable when no worker connects in time, and UsageError after ``close``.
        """
        client = self._dask(dashboard, timeout).client
        client.scheduler_info()  # what it prints of itself includes the workers that have come
        return client

    def pool(self, *, progress: bool | None = None, timeout: float | None = None) -> ExecutorPool:
        """Return the executors as a ``concurrent.futures.Executor``, which uses Dask. ``progress``: whether ``map`` shows a
        bar on stderr (None: if stderr is a terminal). ``timeout`` and errors as for ``dask``."""
        client = self._dask(None, timeout).client
        from stoker.engines.pool import ExecutorPool  # noqa: PLC0415 - needs Dask

        return ExecutorPool(client, progress=progress)

    def ray(self, *, timeout: float | None = None) -> ModuleType:
        """Return the module ``ray``, connected: Ray's head runs beside this process, its nodes are this application's
        executors. Returns as soon as the first node has connected. ``timeout`` is in seconds (None: unlimited).

        Raises the errors of ``dask``, and ConfigError for settings that Ray does not support (dynamic allocation).
        """
        try:
            from stoker.engines.ray import RayEngine  # noqa: PLC0415 - large, and an extra
        except ImportError as error:
            raise Refused(f"Ray cannot be imported here ({error.name}): {sys.executable} -m pip install ray") from None
        with self._starting:
            if self._engine is None and not self._is_closed:
                self._start(lambda watch: RayEngine(self._resources, on_worker=watch.on_worker), timeout)
            return self._chosen(RayEngine).ray

    def _dask(self, dashboard: str | None, timeout: float | None) -> DaskEngine:
        try:
            from stoker.engines.dask import DaskEngine  # noqa: PLC0415 - large, and an extra
        except ImportError as error:
            raise Refused(
                f"Dask cannot be imported here ({error.name}): {sys.executable} -m pip install distributed cryptography"
            ) from None
        with self._starting:
            if self._engine is None and not self._is_closed:
                self._start(
                    lambda watch: DaskEngine(self._resources, on_worker=watch.on_worker, dashboard=dashboard), timeout
                )
            return self._chosen(DaskEngine)

    def _chosen(self, kind: type[E]) -> E:
        if self._is_closed:
            raise UsageError(f"{self.name} is closed: connect() again")
        if not isinstance(self._engine, kind):
            assert self._engine is not None
            raise Refused(
                f"{self.name} runs {self._engine.label}: an application has one engine, connect() another one"
            )
        return self._engine

    def _start(self, make: Callable[[EngineWatch], Engine], timeout: float | None) -> None:
        keys = Keys.open(self._config.keys_dir, create=None) if self._config.authenticate else None
        watch = EngineWatch(say)
        engine = make(watch)
        description = self._describe(engine)
        application = Application(self._config.masters, description, keys=keys, on_event=watch.on_event)
        self._engine, self._application = engine, application
        atexit.register(self.close)
        try:
            application.start()
            engine.attach(application)
            if self._resources.executor_limit:
                watch.wait(application, engine, timeout)
        except BaseException as error:
            self._end(ApplicationState.FAILED, f"{type(error).__name__} while it started")
            raise
        watch.follow(application, engine)

    def _describe(self, engine: Engine) -> ApplicationDescription:
        wanted = self._resources
        pool, priority = wanted_sharing(self._config.properties)
        try:
            return ApplicationDescription(
                name=self.name,
                command=with_queue(engine.command(), self._config.properties),
                user=user_name(),
                max_cores=wanted.max_cores,
                cores_per_executor=wanted.cores or engine.cores,
                memory_mib=wanted.memory_mib,
                executor_limit=wanted.executor_limit,
                ui_url=engine.ui_url,
                pool=pool,
                priority=priority,
                resources=wanted.named,
                time_limit=wanted.time_limit,
                max_disk_mib=wanted.max_disk_mib,
                min_executors=min_executors(self._config.properties),
            )
        except ValueError as error:  # the values check themselves
            engine.close()
            raise UsageError(str(error)) from None

    # --- status -----------------------------------------------------------------------------------------------

    @property
    def app_id(self) -> str:
        """The application's id; "" until an engine is chosen."""
        return self._application.app_id if self._application is not None else ""

    @property
    def executors(self) -> tuple[Executor, ...]:
        """The running executors and the latest ended ones, sorted by id."""
        return self._application.executors if self._application is not None else ()

    def __repr__(self) -> str:
        engine = f", {self._engine.label}" if self._engine is not None else ""
        return f"<stoker application {self.name!r} on {self.master}{engine} {self.app_id}>"

    # --- life --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Unregister, which ends the executors, and stop the engine. A second call does nothing."""
        self._end(ApplicationState.FINISHED, "")

    def __enter__(self) -> App:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or (issubclass(kind, SystemExit) and not getattr(error, "code", None)):
            self.close()
        elif issubclass(kind, KeyboardInterrupt):
            self._end(ApplicationState.KILLED, "interrupted")
        else:
            self._end(ApplicationState.FAILED, f"{kind.__name__} in its program")

    def _end(self, state: ApplicationState, reason: str) -> None:
        with self._ending:
            if self._is_closed:
                return
            self._is_closed = True
        atexit.unregister(self.close)
        # The application first: workers that lose their scheduler exit by themselves, and would be replaced.
        if self._application is not None:
            self._application.stop(state, reason)
        if self._engine is not None:
            self._engine.close()


def _program() -> str:
    return PurePath(sys.argv[0] or "python").name if sys.argv and sys.argv[0] not in ("", "-c") else "python"
