"""Filters of jobs and workers. Pages, ``/api/v1`` and the command line have the same ones, under the same names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from stoker.core.model.addresses import names_address
from stoker.core.model.pools import DEFAULT_POOL
from stoker.core.model.views import AppView, ClusterView, DriverView, ExecutorView, WorkerView


@dataclass(frozen=True)
class Filters:
    """An entry must match every filter that is set; "" sets none.

    ``user`` is a principal or a label (ADR 22); ``pool`` is the name of a pool. ``name`` is the whole name, in which ``*``
    stands for any text. ``worker`` is the id, the HOST:PORT or the host of the worker on which the job runs or ran last.
    ``text`` is words that the entry's searchable text must all have, in any case.
    ``application`` finds the workers that run an executor of it.
    """

    state: str = ""
    user: str = ""
    name: str = ""
    worker: str = ""
    text: str = ""
    application: str = ""
    pool: str = ""

    @cached_property
    def _words(self) -> list[str]:
        return self.text.lower().split()

    @cached_property
    def _name(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.name.split("*"))), re.DOTALL)

    def drivers(self, views: Iterable[DriverView]) -> list[DriverView]:
        found = self._jobs(views)
        if self.worker:
            found = [view for view in found if self._is_on(view.worker_id, view.worker_host)]
        return [view for view in found if self._has_words(driver_text(view))] if self._words else found

    def apps(self, views: Iterable[AppView]) -> list[AppView]:
        found = self._jobs(views)
        if self.worker:
            found = [view for view in found if any(self._is_on(one.worker_id, one.host) for one in view.executors)]
        return [view for view in found if self._has_words(app_text(view))] if self._words else found

    def workers(self, views: Iterable[WorkerView], apps: Iterable[AppView]) -> list[WorkerView]:
        """``apps``: the active ones."""
        found = list(views)
        if self.state:
            found = [view for view in found if view.shown_state.value == self.state]
        if self.worker:
            found = [view for view in found if self._is_on(view.id, view.host)]
        if self.application:
            users = {one.worker_id for app in apps if app.id == self.application for one in app.executors}
            found = [view for view in found if view.id in users]
        return [view for view in found if self._has_words(worker_text(view))] if self._words else found

    def executors(self, views: Iterable[ExecutorView]) -> list[ExecutorView]:
        found = [view for view in views if not self.state or view.state.value == self.state]
        return [view for view in found if self._is_on(view.worker_id, view.host)] if self.worker else found

    def cluster(self, view: ClusterView) -> ClusterView:
        """Return the view with the jobs that match, and the workers that match ``worker``."""
        here = Filters(worker=self.worker)
        return msgspec.structs.replace(
            view,
            workers=tuple(here.workers(view.workers, ())),
            active_drivers=tuple(self.drivers(view.active_drivers)),
            completed_drivers=tuple(self.drivers(view.completed_drivers)),
            active_apps=tuple(self.apps(view.active_apps)),
            completed_apps=tuple(self.apps(view.completed_apps)),
        )

    def _jobs(self, views: Iterable[Any]) -> list[Any]:
        found = list(views)
        if self.state:
            found = [view for view in found if view.state.value == self.state]
        if self.user:
            found = [view for view in found if self.user in (view.principal, view.user)]
        if self.pool:
            found = [view for view in found if (view.pool or DEFAULT_POOL) == self.pool]
        if self.name:
            found = [view for view in found if self._name.fullmatch(view.name)]
        return found

    def _is_on(self, worker_id: str, host: str) -> bool:
        port = worker_id.rpartition("-")[2]
        return worker_id == self.worker or (port.isdigit() and names_address(self.worker, host, int(port)))

    def _has_words(self, text: str) -> bool:
        text = text.lower()
        return all(word in text for word in self._words)


def worker_text(worker: WorkerView) -> str:
    """Return what a search for a worker looks through."""
    draining = "draining" if worker.draining else ""
    return f"{worker.id} {worker.address} {worker.shown_state.value} {draining} {worker.shown_version}"


def app_text(app: AppView) -> str:
    """Return what a search for an application looks through."""
    return f"{app.id} {app.name} {app.who} {app.state.value} {app.reason}"


def driver_text(driver: DriverView) -> str:
    """Return what a search for a driver looks through."""
    parts = (driver.id, driver.name, driver.who, driver.main, driver.main_class, driver.worker_id, driver.reason)
    line = driver.attempts[-1].exit.last_error_line if driver.attempts else ""
    return f"{' '.join(parts)} {driver.state.value} {line}"
