"""The worker's books as an immutable view, for its dashboard."""

from __future__ import annotations

import time
from collections import deque

from stoker.core.model.redaction import redacted
from stoker.core.model.states import JobPhase
from stoker.core.model.worker_views import DriverPage, ExecutorPage, WorkerPage
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob
from stoker.core.worker.machine import WorkerCore

FINISHED_SHOWN = 1000  # spark.worker.ui.retainedExecutors and retainedDrivers


class PageMaker:
    """Remember ended jobs, which the core forgets once they are acknowledged."""

    def __init__(self, core: WorkerCore) -> None:
        self._core = core
        self._drivers: deque[DriverPage] = deque(maxlen=FINISHED_SHOWN)
        self._executors: deque[ExecutorPage] = deque(maxlen=FINISHED_SHOWN)

    def finished(self, job: AnyJob) -> None:
        if isinstance(job, DriverJob):
            self._drivers.append(_driver_page(job, time.time()))
        else:
            self._executors.append(_executor_page(job, time.time()))

    def page(self) -> WorkerPage:
        identity, core = self._core.identity, self._core
        used = core.used
        running = [job for job in core.jobs.values() if job.phase is not JobPhase.ENDED]
        return WorkerPage(
            id=identity.id,
            master_url=core.registration.master_url,
            master_webui_url=core.registration.master_webui_url,
            host=identity.host,
            port=identity.port,
            webui_url=identity.webui_url,
            cores=identity.cores,
            cores_used=used.cores,
            memory_mib=identity.memory_mib,
            memory_used_mib=used.memory_mib,
            executors=tuple(_executor_page(job) for job in running if isinstance(job, ExecutorJob)),
            finished_executors=tuple(self._executors),
            drivers=tuple(_driver_page(job) for job in running if isinstance(job, DriverJob)),
            finished_drivers=tuple(self._drivers),
            resources=identity.resources,
            resources_used=used.resources,
            version=identity.version,
            keeper_release=core.registration.keeper_release,
            unfit=core.fitness.unfit,
            limits=identity.limits,
            run_as=identity.run_as,
            users_fault=core.registration.users_fault,
        )


def _executor_page(job: ExecutorJob, ended: float = 0.0) -> ExecutorPage:
    return ExecutorPage(
        app_id=job.app_id,
        executor_id=job.executor_id,
        app_name=job.app.name,
        user=job.app.user,
        cores=job.cores,
        memory_mib=job.memory_mib,
        state=job.state,
        pid=job.pid,
        exit=job.exit,
        command=redacted(job.app.command.argv),
        app_cores_max=job.app.max_cores,
        started=job.started,
        ended=ended,
        resources=job.resources,
    )


def _driver_page(job: DriverJob, ended: float = 0.0) -> DriverPage:
    return DriverPage(
        driver_id=job.driver_id,
        main=job.driver.main,
        main_class=job.driver.main_class,
        cores=job.cores,
        memory_mib=job.memory_mib,
        state=job.state,
        attempt=job.attempt,
        pid=job.pid,
        exit=job.exit,
        name=job.driver.name or job.driver.main,
        user=job.driver.user,
        started=job.started,
        ended=ended,
        resources=job.resources,
    )
