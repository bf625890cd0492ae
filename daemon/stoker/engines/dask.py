"""Dask on an application's executors: the scheduler beside the driver, one Dask worker in each executor.

Everything between them is TLS with a certificate made for this application alone, which both sides must show; it goes to
the executors in their environment, never on a command line. Dask's HTTP pages listen on loopback only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dask.config
import distributed
from distributed.core import Status, rpc
from distributed.deploy import Adaptive
from distributed.deploy.cluster import Cluster
from distributed.diagnostics.plugin import UploadFile
from distributed.security import Security
from distributed.utils import silence_logging_cmgr

from stoker.core.model.addresses import address_of
from stoker.core.model.states import ExecutorState
from stoker.core.model.values import UNLIMITED, Command
from stoker.engines.base import Grants, Resources
from stoker.engines.python import python_command
from stoker.errors import Refused

log: logging.Logger = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1:0"
_ALIVE = (ExecutorState.LAUNCHING, ExecutorState.RUNNING)


# A worker that is terminated waits for running calls, though nobody will use their results and others wait for its cores.
_END_SOON = """\
import os, signal, threading
def dask_setup(worker):
    dasks = signal.getsignal(signal.SIGTERM)
    def terminated(number, frame):
        end = threading.Timer(1.0, os._exit, [0])
        end.daemon = True
        end.start()
        if callable(dasks):
            dasks(number, frame)
    signal.signal(signal.SIGTERM, terminated)
"""


class StokerAdaptive(Adaptive):  # type: ignore[misc]
    """Dask's own decides; but the master must know the new target before a worker ends, or it would replace that worker."""

    async def scale_down(self, workers: Iterable[Any]) -> None:
        await self.cluster.scale_down(workers)


class StokerCluster(Cluster):  # type: ignore[misc]
    """``attach`` it to an application that runs ``command``. ``on_worker`` is called in the loop's
    thread when a worker has connected.

    ``scale(n)`` and ``adapt(minimum=, maximum=)`` set how many executors the application wants, as of any Dask cluster.
    Raises Refused when it cannot listen at ``resources.host`` and ``port``.
    """

    def __init__(self, resources: Resources, *, on_worker: Callable[[], None], dashboard: str | None = None) -> None:
        self.security: Security = _security()
        self.scheduler: distributed.Scheduler | None = None
        self._resources = resources
        self._dashboard = dashboard
        self._on_worker = on_worker
        self._grants: Grants | None = None
        self._limit = resources.executor_limit
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(silence_logging_cmgr(logging.ERROR))
        super().__init__(asynchronous=False, quiet=True, name="stoker")
        self._loop_runner.start()
        try:
            self.sync(self._start)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: Dask's, with the true one as its cause
            self.close()
            cause = error.__cause__ or error
            where = address_of(resources.host, resources.port) + (f", its pages on {dashboard}" if dashboard else "")
            raise Refused(
                f"Dask's scheduler cannot listen on {where} ({cause}): see spark.driver.host and .port"
            ) from None

    def __await__(self) -> Any:
        async def itself() -> StokerCluster:
            return self

        return itself().__await__()

    async def _start(self) -> None:
        self.scheduler = distributed.Scheduler(
            protocol="tls",
            host=self._resources.host,
            port=self._resources.port,
            security=self.security,
            dashboard=self._dashboard is not None,
            dashboard_address=self._dashboard or _LOOPBACK,
        )
        await self.scheduler
        self.scheduler_comm: rpc = rpc(
            self.scheduler.address, connection_args=self.security.get_connection_args("client")
        )
        await super()._start()

    # --- its executors -----------------------------------------------------------------------------------------------

    def command(self) -> Command:
        """What an executor runs."""
        assert self.scheduler is not None
        # Beyond loopback a worker is reached at the address it has towards the scheduler, which Dask finds out.
        here = ("--host", self._resources.host) if self._resources.host in ("127.0.0.1", "::1") else ()
        offers = [f"{name}={amount}" for name, amount in self._resources.engine_resources.items()]
        resources = ("--resources", " ".join(offers)) if offers else ()
        argv = python_command(
            *(self.scheduler.address, "--no-nanny", "--nthreads", "{{CORES}}", "--name", "{{EXECUTOR_ID}}"),
            *("--memory-limit", f"{self._resources.memory_mib}MiB", "--death-timeout", "60"),
            *("--no-dashboard", "--dashboard-address", _LOOPBACK),
            *here,
            *resources,
            python=self._resources.python,
            package="distributed",
            version=distributed.__version__,
            module="distributed.cli.dask_worker",
        )
        # What Dask's own nanny would set: one thread in numerical libraries for each of Dask's.
        environ = {name: str(value) for name, value in dask.config.get("distributed.nanny.pre-spawn-environ").items()}
        environ["DASK_INTERNAL_INHERIT_CONFIG"] = dask.config.serialize(_worker_config(self.security))
        return Command(argv=argv, env={**environ, **self._resources.env})

    def attach(self, grants: Grants) -> None:
        """From now on, scaling asks the application's master. With dynamic allocation, Dask's ``adapt`` begins."""
        self._grants = grants
        if self._resources.dynamic:
            most = self._resources.most
            self.adapt(minimum=self._resources.least, maximum=most if most < UNLIMITED else float("inf"))

    def adapt(self, *args: Any, **options: Any) -> Any:
        if not args:
            options.setdefault("Adaptive", StokerAdaptive)
        return super().adapt(*args, **options)

    @property
    def plan(self) -> set[Any]:
        """Names of the wanted workers: those that are alive, and placeholders for those not granted yet."""
        alive = self._alive()
        wanted = self._limit if self._limit < UNLIMITED else len(alive)
        return {*alive, *(f"wanted-{number}" for number in range(wanted - len(alive)))}

    @property
    def requested(self) -> set[Any]:
        return self.plan

    @property
    def observed(self) -> set[Any]:
        return {worker["name"] for worker in self.scheduler_info["workers"].values()}

    def scale(self, n: int) -> Any:
        """Set the number of executors; surplus ones end when they have handed over their data."""
        if n < 0:
            raise ValueError(f"the number of executors must not be negative: {n}")
        return self.sync(self._scale, n)

    def scale_down(self, workers: Iterable[Any]) -> Any:
        """Release these workers (names)."""
        return self.sync(self._give_back, list(workers))

    def _alive(self) -> set[int]:
        if self._grants is None:
            return set()
        return {executor.id for executor in self._grants.executors if executor.state in _ALIVE}

    async def _scale(self, n: int) -> None:
        alive = self._alive()
        await self._want(n)
        if len(alive) > n:
            names = await self.scheduler_comm.workers_to_close(target=n, attribute="name")
            waiting = sorted(alive - self.observed, reverse=True)
            await self._end([*waiting, *names][: len(alive) - n])

    async def _give_back(self, names: list[Any]) -> None:
        left = len(self.plan - set(names))
        await self._want(max(left, 0))
        await self._end([name for name in names if isinstance(name, int)])

    async def _want(self, limit: int) -> None:
        assert self._grants is not None
        self._limit = limit
        await asyncio.to_thread(self._grants.request_executors, limit)

    async def _end(self, names: list[int]) -> None:
        assert self._grants is not None
        if names:
            await self.scheduler_comm.retire_workers(names=names, remove=True, close_workers=False)
            await asyncio.to_thread(self._grants.kill_executors, names)

    def _update_worker_status(self, op: str, msg: Any) -> None:
        super()._update_worker_status(op, msg)
        if op == "add":
            self._on_worker()

    # --- the end -----------------------------------------------------------------------------------------------------

    async def _close(self) -> None:
        if self.status == Status.closed:
            return
        await super()._close()
        if self.scheduler is not None:
            await self.scheduler.close(reason="the application has ended")

    def close(self, timeout: float | None = None) -> Any:
        done = super().close(timeout)
        if not self.called_from_running_loop:
            self._loop_runner.stop()
            self._quiet.close()
        return done


def _security() -> Security:
    try:
        return Security.temporary()
    except ImportError:
        raise Refused(
            f"Dask's encryption needs the package cryptography: {sys.executable} -m pip install cryptography"
        ) from None


def _upload(path: Path) -> UploadFile:
    """Dask does not know wheels, which are zip files."""
    if path.suffix != ".whl":
        return UploadFile(str(path))
    with tempfile.TemporaryDirectory() as folder:
        return UploadFile(str(shutil.copy(path, Path(folder) / f"{path.stem}.zip")))


def _worker_config(security: Security) -> dict[str, Any]:
    """Return the configuration of Dask's workers. Tasks may become clients themselves (``get_client``)."""
    pair = {"cert": security.tls_worker_cert, "key": security.tls_worker_key}
    tls = {"ca-file": security.tls_ca_file, "worker": pair, "client": pair}
    preload = [*dask.config.get("distributed.worker.preload"), _END_SOON]
    return {"distributed": {"comm": {"require-encryption": True, "tls": tls}, "worker": {"preload": preload}}}


class DaskEngine:
    """The scheduler and the driver's client of it. Raises Refused."""

    label = "Dask"
    cores: int | None = 1  # Python's threads share one interpreter lock

    def __init__(self, resources: Resources, *, on_worker: Callable[[], None], dashboard: str | None = None) -> None:
        self.cluster: StokerCluster = StokerCluster(resources, on_worker=on_worker, dashboard=dashboard)
        self.address: str = self.cluster.scheduler_address
        self.ui_url: str = self.cluster.dashboard_link if dashboard else ""
        self.client = distributed.Client(self.cluster)
        for path in resources.py_files:  # workers that come later get it as well
            self.client.register_plugin(_upload(path), name=f"py-file {path.name}")
        self._is_closed = False

    def command(self) -> Command:
        return self.cluster.command()

    def attach(self, grants: Grants) -> None:
        self.cluster.attach(grants)

    def fail(self, reason: str) -> None:
        futures = [distributed.Future(key, self.client) for key in list(self.client.futures)]
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # closed meanwhile
            self.client.cancel(futures, reason="stoker", msg=reason, force=True)
            self.client.close()  # so that nothing more can be asked for

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self.client.close()
        self.cluster.close()
