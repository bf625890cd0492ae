"""Command and environment of a prepared job: its engine's, with the worker's additions (spec 4)."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stoker.config.worker import WorkerConfig
from stoker.core.model.addresses import address_of, bracketed
from stoker.core.model.principal import GATEWAY
from stoker.core.model.values import ApplicationDescription
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob
from stoker.core.worker.registration import WorkerIdentity
from stoker.engines.driver import driver_launch
from stoker.engines.executor import executor_launch
from stoker.engines.launch import Launch
from stoker.engines.spark import default_homes, spark_driver, spark_executor
from stoker.engines.spark_archive import Runtime
from stoker.worker.devices import environment


class Launcher:
    """``archive_for`` is ``ClassData``'s, ``view_for`` is ``PythonViews``'."""

    def __init__(
        self,
        config: WorkerConfig,
        identity: WorkerIdentity,
        *,
        environ: Mapping[str, str],
        archive_for: Callable[[Runtime, Sequence[str]], Path | None],
        view_for: Callable[[Path], Path],
    ) -> None:
        self._config = config
        self._archive_for = archive_for
        self._view_for = view_for
        self._identity = identity
        self._environ = environ
        self._worker_url = f"spark://{address_of(identity.host, identity.port)}"
        self._logs = f"{identity.webui_url}/logPage/"

    def launch(self, job: AnyJob, folder: Path, master_url: str, local_dirs: list[Path]) -> Launch:
        """``folder`` is the job's own, ``local_dirs`` its application's. Raises Refused when this machine cannot run it."""
        if isinstance(job, DriverJob):
            launch, component = self._driver(job, folder, master_url), "spark.driver"
        else:
            launch, component = self._executor(job, folder, master_url, local_dirs), "spark.executor"
        launch.env.update(environment.variables(job.resources, self._identity.resources))
        return environment.with_file(launch, job.resources, component)

    def _driver(self, job: DriverJob, folder: Path, master_url: str) -> Launch:
        if job.driver.kind == "program":
            _make_executable(folder / job.driver.main)
        make = driver_launch
        if job.driver.spark is not None:
            make = functools.partial(spark_driver, secret=self._secret_of(job))
        launch = make(
            environment.driver_with(job.driver, job.resources, folder),
            folder,
            environ=self._environ,
            master_url=master_url,
            worker_url=self._worker_url,
            homes=self._spark_homes() if job.driver.kind != "program" else (),
        )
        query = f"driverId={job.driver_id}"
        launch.env["SPARK_DRIVER_LOG_URL_STDOUT"] = f"{self._logs}?{query}&logType=stdout"
        launch.env["SPARK_DRIVER_LOG_URL_STDERR"] = f"{self._logs}?{query}&logType=stderr"
        launch.env["STOKER_DRIVER_ID"] = job.driver_id
        launch.env["STOKER_ATTEMPT"] = str(job.attempt)
        launch.env["SPARK_LOCAL_DIRS"] = ",".join(str(path) for path in self._config.local_dirs)
        return launch

    def _executor(self, job: ExecutorJob, folder: Path, master_url: str, local_dirs: list[Path]) -> Launch:
        values = {
            "EXECUTOR_ID": str(job.executor_id),
            "CORES": str(job.cores),
            "GPUS": environment.gpus_of(job.resources),
            "HOSTNAME": self._identity.host,
            "APP_ID": job.app_id,
            "WORKER_URL": self._worker_url,
            "RESOURCE_PROFILE_ID": "0",
        }
        app = environment.application_with(job.app, job.resources, folder)
        launch = self._by_engine(app, values, job.memory_mib, master_url, self._secret_of(job))
        query = f"appId={job.app_id}&executorId={job.executor_id}"
        launch.env["SPARK_EXECUTOR_DIRS"] = os.pathsep.join(map(str, local_dirs))
        launch.env["SPARK_LAUNCH_WITH_SCALA"] = "0"
        launch.env["SPARK_LOG_URL_STDOUT"] = f"{self._logs}?{query}&logType=stdout"
        launch.env["SPARK_LOG_URL_STDERR"] = f"{self._logs}?{query}&logType=stderr"
        return launch

    def _secret_of(self, job: AnyJob) -> str:
        """Return the secret with which a Spark job connects to its own: the one that its launch came with, else that of this
        worker's settings, which jobs of a name of their own do not get."""
        return job.secret or (self._config.spark_secret if job.principal in (None, "", GATEWAY) else "")

    def _by_engine(
        self, app: ApplicationDescription, values: Mapping[str, str], memory_mib: int, master_url: str, secret: str
    ) -> Launch:
        if app.spark is None:
            return executor_launch(app, values, environ=self._environ, master_url=master_url)
        return spark_executor(
            app,
            {**values, "HOSTNAME": bracketed(self._identity.host)},  # an IPv6 address as Spark wants it
            memory_mib=memory_mib,
            homes=self._spark_homes(),
            environ=self._environ,
            master_url=master_url,
            secret=secret,
            archive_for=self._archive_for,
            view_for=self._view_for,
        )

    def _spark_homes(self) -> tuple[Path, ...]:
        """Find the installed Sparks. Every launch looks again, so a newly installed Spark needs no restart."""
        return self._config.spark_homes or default_homes(self._environ.get("SPARK_HOME"))


def _make_executable(path: Path) -> None:
    mode = path.stat().st_mode
    if not mode & stat.S_IXUSR:
        path.chmod(mode | 0o111)
