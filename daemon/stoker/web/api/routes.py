"""The operations of ``/api/v1``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from flask import Flask, Response
from werkzeug.exceptions import BadRequest, Forbidden, NotFound

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.changes import ForecastRow, JobChange, WhatIf
from stoker.core.model.messages import DryRunResult
from stoker.core.model.principal import Asker
from stoker.core.model.values import APP_ID, DRIVER_ID, WORKER_ID, DriverDescription
from stoker.core.model.views import AppView, ClusterView, DriverView, Sample, WorkerView
from stoker.errors import StokerError, UsageError
from stoker.security.roles import AccessRole
from stoker.web.access.audit import audit
from stoker.web.access.policy import Access, who
from stoker.web.api import lists, model
from stoker.web.api.declare import Api, Operation
from stoker.web.api.document import document
from stoker.web.api.elsewhere import mention_others
from stoker.web.api.page import add_page
from stoker.web.api.query import Parameter
from stoker.web.changes import ClusterControl
from stoker.web.common import as_json, refusal
from stoker.web.log_window import MAX_WINDOW, WINDOW, JobOutput, LogReaders

VIEWER, SUBMITTER, OPERATOR = AccessRole.VIEWER, AccessRole.SUBMITTER, AccessRole.OPERATOR
BYTES = (
    Parameter("offset", "first byte; negative: so many from the end", default=-WINDOW, least=-(2**53)),
    Parameter("limit", "bytes at most", default=WINDOW, most=MAX_WINDOW),
)
DRIVER = (("id", DRIVER_ID.pattern),)
ATTEMPT = Parameter(
    "attempt", "only what this attempt wrote, on whatever worker; 0: all that its latest worker has", most=2**31 - 1
)
APP = (("id", APP_ID.pattern),)
WORKER = (("id", WORKER_ID.pattern),)
STREAM = (("stream", "(stdout|stderr)"),)
EXECUTOR = (("executor", "[0-9]{1,9}"),)


class FoundStarts(Protocol):
    """A forecast: rows, how many run times came from where, and the seconds of those that are not known."""

    @property
    def rows(self) -> tuple[ForecastRow, ...]: ...

    @property
    def sources(self) -> dict[str, int]: ...

    @property
    def assumed(self) -> float: ...


class ApiControl(ClusterControl, Protocol):
    """What the API needs from the master besides snapshots. All methods raise StokerError, whose text is shown."""

    def submit(self, driver: DriverDescription, by: Asker) -> str: ...

    def dry_run(self, driver: DriverDescription, by: Asker) -> DryRunResult: ...

    def what_if(self, wanted: WhatIf, by: Asker) -> tuple[float, FoundStarts]:
        """Return the time of the forecast, and what it found. Raises UsageError for changes that make no sense here."""
        ...

    def status(self, job_id: str) -> DriverView | AppView: ...

    def history(self) -> Sequence[Sample]:
        """Return the use of the cluster over the last hour, oldest first."""
        ...


def add_api(
    app: Flask, snapshot: Callable[[], ClusterView], control: ApiControl, logs: LogReaders, access: Access
) -> Api:
    api = Api(app)
    _Reading(snapshot, control, logs).add_to(api)
    _Changing(control, access).add_to(api)

    mention_others(api)
    api.add(
        Operation("GET", "/openapi.json", "This description", VIEWER, "application/json"),
        lambda: as_json(document(api.operations)),
    )
    add_page(api, snapshot, access)
    return api


class _Reading:
    def __init__(self, snapshot: Callable[[], ClusterView], control: ApiControl, logs: LogReaders) -> None:
        self._snapshot = snapshot
        self._control = control
        self._logs = logs

    def add_to(self, api: Api) -> None:
        def get(path: str, summary: str, answer: Any, view: Callable[..., Any], **more: Any) -> None:
            api.add(Operation("GET", path, summary, VIEWER, answer, **more), view)

        get("/cluster", "The cluster in numbers", model.Cluster, lambda: model.cluster_of(self._snapshot()))
        get("/workers", "Workers, oldest first", model.Workers, self.workers, parameters=lists.WORKERS)
        get("/workers/{id}", "One worker", WorkerView, self.worker, errors=(404,), names=WORKER)
        get("/drivers", "Drivers, newest first", model.Drivers, self.drivers, parameters=lists.DRIVERS)
        get("/drivers/{id}", "One driver, with its attempts", DriverView, self.driver, errors=(404,), names=DRIVER)
        get("/drivers/{id}/logs/{stream}", "Output of a driver; headers Log-Offset, Log-Size, Log-Ended", "text/plain",
            self.driver_log, parameters=(*BYTES, ATTEMPT), errors=(404,), names=(*DRIVER, *STREAM))  # fmt: skip
        get("/applications", "Applications, newest first", model.Applications, self.apps, parameters=lists.APPLICATIONS)
        get("/applications/{id}", "One application", AppView, self.app, errors=(404,), names=APP)
        get("/applications/{id}/executors", "Its executors", model.Executors, self.executors,
            parameters=lists.EXECUTORS, errors=(404,), names=APP)  # fmt: skip
        get("/applications/{id}/executors/{executor}/logs/{stream}", "Output of an executor; headers as for drivers",
            "text/plain", self.executor_log, parameters=BYTES, errors=(404,), names=(*APP, *EXECUTOR, *STREAM))  # fmt: skip

        get("/pools", "Pools: their settings, parts, limits, and what waits; empty without a pools.yml", model.PoolList,
            self._pools)  # fmt: skip
        get("/drivers/{id}/explanation", "Why a driver is not placed, and what would help", model.Explained,
            lambda id: self.explanation(self.driver(id)), errors=(404,), names=DRIVER)  # fmt: skip
        get("/applications/{id}/explanation", "Why its next executor is not placed, and what would help",
            model.Explained, lambda id: self.explanation(self.app(id)), errors=(404,), names=APP)  # fmt: skip

        get("/history/", "The use of the cluster over the last hour", model.History, self.history, base="",
            parameters=(Parameter("since", "only what is later than this time", float, 0.0),))  # fmt: skip

    def history(self, since: float) -> model.History:
        samples = [sample for sample in self._control.history() if sample.at > since]
        return model.History(**{name: [getattr(one, name) for one in samples] for name in Sample.__struct_fields__})

    def _pools(self) -> model.PoolList:
        view = self._snapshot()
        return model.PoolList(items=view.pools, shadow=view.shadow)

    def workers(self, limit: int, cursor: str, offset: int, **query: str) -> model.Workers:
        cluster = self._snapshot()
        found = lists.filters_of(query).workers(cluster.workers, cluster.active_apps)
        items, following = lists.page(found, limit=limit, cursor=cursor, offset=offset, newest_first=False)
        return model.Workers(total=len(found), offset=offset, next=following, items=items)

    def worker(self, id: str) -> WorkerView:
        for worker in self._snapshot().workers:
            if worker.id == id:
                return worker
        raise NotFound(f"There is no worker {id[:80]}.")

    def drivers(self, limit: int, cursor: str, offset: int, active: str, **query: str) -> model.Drivers:
        cluster = self._snapshot()
        jobs = lists.chosen(active, cluster.active_drivers, cluster.completed_drivers)
        found = lists.filters_of(query).drivers(jobs)
        items, following = lists.page(found, limit=limit, cursor=cursor, offset=offset, newest_first=True)
        return model.Drivers(total=len(found), offset=offset, next=following, items=items)

    def driver(self, id: str) -> DriverView:
        found = self._job(id)
        if not isinstance(found, DriverView):
            raise NotFound(f"There is no driver {id[:80]}.")
        return found

    def explanation(self, job: DriverView | AppView) -> model.Explained:
        found = Waiting(self._snapshot()).explain(job)
        return model.Explained(**{name: getattr(found, name) for name in model.Explained.__struct_fields__})

    def apps(self, limit: int, cursor: str, offset: int, active: str, **query: str) -> model.Applications:
        cluster = self._snapshot()
        jobs = lists.chosen(active, cluster.active_apps, cluster.completed_apps)
        found = lists.filters_of(query).apps(jobs)
        items, following = lists.page(found, limit=limit, cursor=cursor, offset=offset, newest_first=True)
        short = tuple(msgspec.structs.replace(app, removed_executors=()) for app in items)
        return model.Applications(total=len(found), offset=offset, next=following, items=short)

    def app(self, id: str) -> AppView:
        found = self._job(id)
        if not isinstance(found, AppView):
            raise NotFound(f"There is no application {id[:80]}.")
        return found

    def executors(self, id: str, limit: int, cursor: str, **query: str) -> model.Executors:
        return lists.executors_page(self.app(id), lists.filters_of(query), limit=limit, cursor=cursor)

    def driver_log(self, id: str, stream: str, offset: int, limit: int, attempt: int) -> Response:
        return self._log(JobOutput(id, -1, "stderr" if stream == "stderr" else "stdout", attempt), offset, limit)

    def executor_log(self, id: str, executor: str, stream: str, offset: int, limit: int) -> Response:
        return self._log(JobOutput(id, int(executor), "stderr" if stream == "stderr" else "stdout"), offset, limit)

    def _log(self, output: JobOutput, offset: int, limit: int) -> Response:
        if offset < 0:
            size = self._logs.window(output, length=0).size
            offset = max(size + offset, 0)
        window = self._logs.window(output, start=offset, length=limit)
        response = Response(window.data, mimetype="text/plain")
        response.headers["Log-Offset"] = str(window.start)
        response.headers["Log-Size"] = str(window.size)
        response.headers["Log-Ended"] = "true" if window.ended else "false"
        return response

    def _job(self, job_id: str) -> DriverView | AppView:
        try:
            return self._control.status(job_id)
        except StokerError as error:
            raise refusal(error) from None


class _Changing:
    def __init__(self, control: ApiControl, access: Access) -> None:
        self._control = control
        self._access = access

    def add_to(self, api: Api) -> None:
        def post(path: str, summary: str, role: AccessRole, view: Callable[..., Any], **more: Any) -> None:
            api.add(Operation("POST", path, summary, role, errors=(404, 409), **more), view)

        post("/drivers", "Submit a driver; its files must be URLs that workers reach", SUBMITTER, self.submit,
             answer=model.Submitted, status=201, body=DriverDescription, creates="/drivers")  # fmt: skip
        post("/dry-run/drivers", "What submitting this driver would do now; nothing is recorded", SUBMITTER, self.dry_run,
             answer=model.Explained, body=DriverDescription)  # fmt: skip
        post("/what-if", "When what waits will start, as the cluster is and with changes; nothing is changed", SUBMITTER,
             self.what_if, answer=model.Foreseen, body=WhatIf, needs_body=False)  # fmt: skip
        post("/drivers/{id}/kill", "Kill a driver", SUBMITTER, self.kill, answer=model.Done, names=DRIVER)
        post("/drivers/{id}/hold", "Hold a driver: it is not started", SUBMITTER, self.hold,
             answer=model.Done, names=DRIVER)  # fmt: skip
        post("/drivers/{id}/release", "Release a driver", SUBMITTER, self.release, answer=model.Done, names=DRIVER)
        post("/drivers/{id}/update", "Change the pool, priority or time limit of a driver", SUBMITTER, self.update,
             answer=model.Done, body=JobChange, names=DRIVER)  # fmt: skip
        post("/applications/{id}/update", "Change the pool, priority or time limit of an application", SUBMITTER,
             self.update, answer=model.Done, body=JobChange, names=APP)  # fmt: skip
        post("/applications/{id}/hold", "Hold an application: it gets no further executors", SUBMITTER, self.hold,
             answer=model.Done, names=APP)  # fmt: skip
        post("/applications/{id}/release", "Release an application", SUBMITTER, self.release,
             answer=model.Done, names=APP)  # fmt: skip
        post("/applications/{id}/kill", "Kill an application", SUBMITTER, self.kill, answer=model.Done, names=APP)
        post(
            "/workers/{id}/drain",
            "Have a worker get nothing new",
            OPERATOR,
            self.drain,
            answer=model.Done,
            names=WORKER,
            body=model.Drain,
            needs_body=False,
        )
        post(
            "/workers/{id}/undrain", "Let a worker work again", OPERATOR, self.undrain, answer=model.Done, names=WORKER
        )

    def submit(self, body: DriverDescription) -> model.Submitted:
        uploads = [artifact.name for artifact in body.artifacts if artifact.sha256]
        if uploads:
            raise Forbidden(f"{uploads[0]} is an upload: only 'stoker submit' can upload files; name a URL.")
        by = who().asker("api")
        return model.Submitted(id=_changed("submit", body.main, lambda: self._control.submit(body, by)))

    def dry_run(self, body: DriverDescription) -> model.Explained:
        try:
            found = self._control.dry_run(body, who().asker("api"))
        except StokerError as error:
            raise refusal(error) from None
        return model.Explained(**{name: getattr(found, name) for name in model.Explained.__struct_fields__})

    def what_if(self, body: WhatIf) -> model.Foreseen:
        try:
            at, found = self._control.what_if(body, who().asker("api"))
        except UsageError as error:
            raise BadRequest(f"{error}.") from None
        except StokerError as error:
            raise refusal(error) from None
        times = model.RunTimes(sources=found.sources, assumed_seconds=found.assumed)
        return model.Foreseen(at=at, jobs=found.rows, run_times=times)

    def kill(self, id: str) -> model.Done:
        self._check()
        return model.Done(message=_changed("kill", id, lambda: self._control.kill(id, who().asker("api"))))

    def hold(self, id: str) -> model.Done:
        return self._hold("hold", id, is_on=True)

    def release(self, id: str) -> model.Done:
        return self._hold("release", id, is_on=False)

    def _hold(self, action: str, id: str, *, is_on: bool) -> model.Done:
        self._check()
        by = who().asker("api")
        return model.Done(message=_changed(action, id, lambda: self._control.hold(id, by, hold=is_on)))

    def update(self, id: str, body: JobChange) -> model.Done:
        self._check()
        by = who().asker("api")
        return model.Done(message=_changed("update", id, lambda: self._control.update(id, body, by)))

    def drain(self, id: str, body: model.Drain) -> model.Done:
        self._check()
        by, reason, deadline = who().asker("api"), body.reason.strip(), body.deadline

        def change() -> str:
            return self._control.drain(id, by, drain=True, reason=reason, deadline=deadline)

        return model.Done(message=_changed("drain", id, change))

    def undrain(self, id: str) -> model.Done:
        self._check()
        return model.Done(
            message=_changed("undrain", id, lambda: self._control.drain(id, who().asker("api"), drain=False))
        )

    def _check(self) -> None:
        if not self._access.kill_enabled:
            raise Forbidden("Changing things here is switched off (spark.ui.killEnabled).")


def _changed(action: str, target: str, change: Callable[[], str]) -> str:
    try:
        said = change()
    except StokerError as error:
        audit(action, target, str(error))
        raise refusal(error) from None
    audit(action, said if action == "submit" else target)
    return said
