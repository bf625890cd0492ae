"""What ``/api/v1`` answers besides ``core.model.views``. Memory in MiB, times in seconds since the Unix epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from stoker.core.model.states import MasterState
from stoker.core.model.values import Value
from stoker.core.model.views import AppView, ClusterView, DriverView, ExecutorView, WorkerView


class Cluster(Value, frozen=True):
    """Counts are by state. ``cores`` and ``memory_mib`` add up live workers; a standby sets ``leader_url``."""

    url: str
    state: MasterState
    epoch: int
    version: str
    webui_url: str
    leader_url: str
    leader_webui_url: str
    workers: dict[str, int]
    drivers: dict[str, int]
    applications: dict[str, int]
    cores: int
    cores_used: int
    memory_mib: int
    memory_used_mib: int
    warnings: tuple[str, ...]


class Workers(Value, frozen=True):
    """One page of a list; ``total`` counts all entries."""

    total: int
    offset: int
    items: tuple[WorkerView, ...]


class Drivers(Value, frozen=True):
    """One page of a list; ``total`` counts all entries."""

    total: int
    offset: int
    items: tuple[DriverView, ...]


class Applications(Value, frozen=True):
    """One page of a list; ``total`` counts all entries."""

    total: int
    offset: int
    items: tuple[AppView, ...]


class Executors(Value, frozen=True):
    """The executors of one application: the live ones, and the latest of those that ended."""

    executors: tuple[ExecutorView, ...]
    removed: tuple[ExecutorView, ...]


class Submitted(Value, frozen=True):
    id: str


class Done(Value, frozen=True):
    """What was done, in words. A kill is complete when the job's state says so."""

    message: str


class Problem(Value, frozen=True):
    error: str
    status: int


def cluster_of(view: ClusterView) -> Cluster:
    alive = view.live_workers
    return Cluster(
        url=view.url,
        state=view.state,
        epoch=view.epoch,
        version=view.version,
        webui_url=view.webui_url,
        leader_url=view.leader_url,
        leader_webui_url=view.leader_webui_url,
        workers=_count(worker.shown_state.value for worker in view.workers),
        drivers=_count(driver.state.value for driver in (*view.active_drivers, *view.completed_drivers)),
        applications=_count(app.state.value for app in (*view.active_apps, *view.completed_apps)),
        cores=sum(worker.cores for worker in alive),
        cores_used=sum(worker.cores_used for worker in alive),
        memory_mib=sum(worker.memory_mib for worker in alive),
        memory_used_mib=sum(worker.memory_used_mib for worker in alive),
        warnings=view.warnings,
    )


def _count(states: Iterable[str]) -> dict[str, int]:
    return dict(Counter(states))
