"""Views for dashboards, and a parser that reads a page as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import msgspec

from stoker.core.model.changes import ForecastRow, JobChange, WhatIf
from stoker.core.model.counts import Counts, Tally
from stoker.core.model.messages import DryRunResult, LogData, ReadLog
from stoker.core.model.principal import Asker
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, MasterState, WorkerState
from stoker.core.model.values import DriverDescription, Exit
from stoker.core.model.views import (
    AppView,
    ArrayView,
    AttemptView,
    ClusterView,
    DriverView,
    ExecutorView,
    Sample,
    WorkerView,
)
from stoker.core.model.worker_views import DriverPage, ExecutorPage, WorkerPage
from stoker.errors import NotFound, StokerError
from stoker.master.forecasting import Answer

SUBMITTED = 1_400_000_000.25  # seconds
VOID = {"meta", "link", "input", "br", "img"}


class Control:
    """Stands for the master behind a dashboard: records the requests, or refuses them with ``error``."""

    def __init__(self, error: StokerError | None = None, samples: tuple[Sample, ...] = ()) -> None:
        self.killed: list[str] = []
        self.kills: list[tuple[str, Asker]] = []
        self.held: list[tuple[str, bool]] = []
        self.updated: list[tuple[str, JobChange]] = []
        self.drained: list[tuple[str, bool]] = []
        self.terms: list[tuple[str, float]] = []  # reason and deadline of each
        self.submitted: list[tuple[DriverDescription, Asker]] = []
        self.what_ifs: list[tuple[WhatIf, Asker]] = []
        self.error = error
        self.samples = samples
        self.tally = Tally()
        self.output = b""

    def kill(self, job_id: str, by: Asker) -> str:
        if self.error:
            raise self.error
        self.killed.append(job_id)
        self.kills.append((job_id, by))
        return f"{job_id} is being killed"

    def hold(self, job_id: str, by: Asker, *, hold: bool) -> str:
        if self.error:
            raise self.error
        self.held.append((job_id, hold))
        return f"{job_id} is {'held' if hold else 'released'}"

    def update(self, job_id: str, change: JobChange, by: Asker) -> str:
        if self.error:
            raise self.error
        self.updated.append((job_id, change))
        return f"{job_id} has now {change.words}"

    def drain(self, worker_id: str, by: Asker, *, drain: bool, reason: str = "", deadline: float = 0.0) -> str:
        if self.error:
            raise self.error
        self.drained.append((worker_id, drain))
        self.terms.append((reason, deadline))
        return f"{worker_id} is draining"

    def submit(self, driver: DriverDescription, by: Asker) -> str:
        if self.error:
            raise self.error
        self.submitted.append((driver, by))
        return driver_view(9).id

    def dry_run(self, driver: DriverDescription, by: Asker) -> DryRunResult:
        if self.error:
            raise self.error
        return DryRunResult(request=0, verdict="wait", needs="1 core", refusals=("1 worker: draining",))

    def what_if(self, wanted: WhatIf, by: Asker) -> tuple[float, Answer]:
        if self.error:
            raise self.error
        self.what_ifs.append((wanted, by))
        row = ForecastRow(id=driver_view(2).id, name="etl", who="ada", pool="default", before=None, after=0.0)
        return SUBMITTED, Answer(rows=(row,), sources={"assumed": 1}, assumed=60.0)

    def status(self, job_id: str) -> DriverView | AppView:
        cluster = cluster_view()
        jobs: tuple[DriverView | AppView, ...] = (
            *cluster.active_drivers,
            *cluster.completed_drivers,
            *cluster.active_apps,
            *cluster.completed_apps,
        )
        for job in jobs:
            if job.id == job_id:
                return job
        raise NotFound(f"There is no driver or application {job_id}")

    def counts(self) -> Counts:
        return self.tally.copy()

    def history(self) -> tuple[Sample, ...]:
        return self.samples

    def read_log(self, question: ReadLog) -> LogData:
        """Answers with all of ``output``, whatever range was asked for."""
        return LogData(request=question.request, size=len(self.output), data=self.output)


def worker_view(number: int = 1, **changes: Any) -> WorkerView:
    view = WorkerView(
        id=f"worker-20140513164640-host{number}-{7000 + number}",
        host=f"host{number}",
        port=7000 + number,
        state=WorkerState.ALIVE,
        cores=8,
        cores_used=3,
        memory_mib=15872,
        memory_used_mib=1024,
        webui_url=f"http://host{number}:8081",
        last_heartbeat=SUBMITTED,
    )
    return msgspec.structs.replace(view, **changes)


def driver_view(number: int = 1, **changes: Any) -> DriverView:
    view = DriverView(
        id=f"driver-20140513164640-{number:04}",
        name="etl",
        state=DriverState.RUNNING,
        submitted=SUBMITTED,
        cores=2,
        memory_mib=512,
        main="etl.pyz",
        main_class="etl.main:run",
        worker_id=worker_view().id,
        attempts=(AttemptView(number=1, worker_id=worker_view().id, state=DriverState.RUNNING, started=SUBMITTED),),
    )
    return msgspec.structs.replace(view, **changes)


def executor_view(number: int = 0, **changes: Any) -> ExecutorView:
    view = ExecutorView(
        id=number, worker_id=worker_view().id, host="host1", cores=1, memory_mib=1024, state=ExecutorState.RUNNING
    )
    return msgspec.structs.replace(view, **changes)


def app_view(number: int = 1, **changes: Any) -> AppView:
    view = AppView(
        id=f"app-20140513164640-{number:04}",
        name="count",
        user="ada",
        state=ApplicationState.RUNNING,
        submitted=SUBMITTED,
        cores_granted=1,
        cores_max=4,
        memory_mib=1024,
        executors=(executor_view(),),
    )
    return msgspec.structs.replace(view, **changes)


def cluster_view(**changes: Any) -> ClusterView:
    view = ClusterView(
        url="spark://host0:7077",
        state=MasterState.ALIVE,
        epoch=3,
        version="0.1.0",
        workers=(worker_view(1), worker_view(2, state=WorkerState.DEAD)),
        active_drivers=(driver_view(1), driver_view(2, state=DriverState.SUBMITTED, worker_id="", attempts=())),
        completed_drivers=(driver_view(3, state=DriverState.FAILED, ended=SUBMITTED + 5),),
        active_apps=(app_view(1),),
        completed_apps=(app_view(2, state=ApplicationState.FINISHED, ended=SUBMITTED + 90, executors=()),),
    )
    return msgspec.structs.replace(view, **changes)


def mixed_jobs() -> ClusterView:
    """A driver that runs, one that waits and one that is restarted later; an array of ten tasks, of which eight have not
    started and two have ended; an application without an executor, and one that has ended."""
    array = ArrayView(indices="1-10", tasks=10, waiting=8, finished=1, failed=1)
    again = driver_view(4, state=DriverState.RELAUNCHING)
    head = driver_view(5, state=DriverState.RUNNING, worker_id="", attempts=(), array=array)
    ended = (
        driver_view(6, state=DriverState.FINISHED, ended=SUBMITTED),
        driver_view(7, state=DriverState.FAILED, ended=SUBMITTED),
    )
    waits = app_view(1, state=ApplicationState.WAITING, executors=(), cores_granted=0)
    view = cluster_view(completed_drivers=ended, active_apps=(waits,))
    return msgspec.structs.replace(view, active_drivers=(*view.active_drivers, again, head))


def worker_page(**changes: Any) -> WorkerPage:
    page = WorkerPage(
        id=worker_view().id,
        master_url="spark://host0:7077",
        master_webui_url="http://host0:8080",
        host="host1",
        port=7001,
        webui_url="http://host1:8081",
        cores=8,
        cores_used=3,
        memory_mib=15872,
        memory_used_mib=1536,
        executors=(executor_page(),),
        drivers=(driver_page(),),
        finished_drivers=(driver_page(driver_id="driver-20140513164640-0009", exit=Exit(code=7, reason="it gave up")),),
    )
    return msgspec.structs.replace(page, **changes)


def executor_page(**changes: Any) -> ExecutorPage:
    page = ExecutorPage(
        app_id="app-20140513164640-0001",
        executor_id=4,
        app_name="count",
        user="ada",
        cores=1,
        memory_mib=1024,
        state=ExecutorState.RUNNING,
        command=("sh", "-c", "echo hello"),
    )
    return msgspec.structs.replace(page, **changes)


def driver_page(**changes: Any) -> DriverPage:
    page = DriverPage(
        driver_id="driver-20140513164640-0001",
        main="etl.pyz",
        main_class="etl.main:run",
        cores=2,
        memory_mib=512,
        state=DriverState.RUNNING,
    )
    return msgspec.structs.replace(page, **changes)


class Page(HTMLParser):
    """``tables``: heading -> rows of cell texts, heads first; ``forms``: (action, fields). Raises AssertionError for tags
    that are not closed in the right place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.forms: dict[str, tuple[str, dict[str, str]]] = {}  # forms that change something: id -> action, fields
        self.buttons: list[tuple[str, dict[str, str]]] = []  # in such forms: the id, and what the button adds
        self._form: str | None = None
        self.text = ""
        self.codes: list[str] = []  # texts of <pre><code>, for copying
        self._open: list[str] = []
        self._heading = ""
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h2":
            self._heading = ""
        elif tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        elif tag in {"th", "td"}:
            self.tables[self._heading][-1].append("")
        elif tag == "form" and given.get("method") == "post":
            self.forms[given.get("id") or ""] = (given["action"] or "", {})
            self._form = given.get("id") or ""
        elif tag == "form":
            self._form = None
        elif tag == "input" and self._form is not None:
            self.forms[self._form][1][given.get("name") or ""] = given.get("value") or ""
        elif tag == "button" and "form" in given:
            self.buttons.append((given["form"] or "", {given["name"] or "": given["value"] or ""}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another tag"
        if tag == "h2":
            self._heading = self._heading.partition(" (")[0].strip()

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        self.text = f"{self.text} {words}".strip() if words else self.text
        if self._open[-2:] == ["pre", "code"]:
            self.codes.append(data)
        if "h2" in self._open:
            self._heading += data
        elif {"td", "th"} & set(self._open) and words:
            row = self.tables[self._heading][-1]
            row[-1] = f"{row[-1]} {words}".strip()

    def foreign(self) -> list[tuple[str, dict[str, str | None]]]:
        """Return the tags that Stoker's pages never have: scripts, pictures and frames from elsewhere, and handlers or
        styles within the page."""
        return [
            (tag, given)
            for tag, given in self.tags
            if (tag in {"script", "img", "iframe"} and not (given.get("src") or "").startswith("/static/"))
            or tag == "style"
            or any(name == "style" or name.startswith("on") for name in given)
        ]

    def links(self) -> list[str]:
        return [given["href"] or "" for tag, given in self.tags if tag == "a"]

    def definition(self, term: str) -> str:
        """Return the page's text after ``term``. It does not end at the next term: this parser cannot see where that
        begins."""
        return self.text.partition(f" {term} ")[2]

    def press(self, value: str) -> tuple[str, dict[str, str]]:
        """Return the action and the fields of the form whose only button has this value."""
        [(form, added)] = [button for button in self.buttons if value in button[1].values()]
        action, fields = self.forms[form]
        return action, {**fields, **added}
