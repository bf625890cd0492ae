"""What ``/api/v1`` answers besides ``core.model.views``. Memory in MiB, times in seconds since the Unix epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from stoker.core.model.changes import ForecastRow
from stoker.core.model.messages import check_drain
from stoker.core.model.pools import ShadowView
from stoker.core.model.states import MasterState
from stoker.core.model.values import Value
from stoker.core.model.views import AppView, ClusterView, DriverView, ExecutorView, PoolView, WorkerView


class Cluster(Value, frozen=True):
    """Counts are by state, of an array its tasks; a draining worker is DECOMMISSIONED. ``live_workers`` counts the workers
    that are ALIVE, whose ``cores`` and ``memory_mib`` these are. A standby sets ``leader_url``."""

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
    live_workers: int
    cores: int
    cores_used: int
    memory_mib: int
    memory_used_mib: int
    warnings: tuple[str, ...]


class Workers(Value, frozen=True):
    """One page of a list. ``total`` counts all that the filters find; ``next`` is the cursor of the next page, "" on the
    last."""

    total: int
    offset: int
    next: str
    items: tuple[WorkerView, ...]


class Drivers(Value, frozen=True):
    """One page of a list. ``total`` counts all that the filters find; ``next`` is the cursor of the next page, "" on the
    last."""

    total: int
    offset: int
    next: str
    items: tuple[DriverView, ...]


class Applications(Value, frozen=True):
    """One page of a list, without the executors that ended. ``total`` counts all that the filters find; ``next`` is the
    cursor of the next page, "" on the last."""

    total: int
    offset: int
    next: str
    items: tuple[AppView, ...]


class PoolList(Value, frozen=True):
    """All pools, in the order of the file; ``shadow``: the policy that is tried beside them."""

    items: tuple[PoolView, ...]
    shadow: ShadowView | None = None


class Explained(Value, frozen=True):
    """``verdict``: ``now`` (nothing refuses it), ``wait``, or ``never`` (it cannot run on this cluster as it is). ``helps``:
    each alone would let it start."""

    verdict: str
    needs: str
    refusals: tuple[str, ...]
    ahead: tuple[str, ...]
    helps: tuple[str, ...]


class RunTimes(Value, frozen=True):
    """What a forecast assumes: ``sources`` counts jobs by where their run time is from; ``assumed_seconds`` is that of the
    others."""

    sources: dict[str, int]
    assumed_seconds: float


class Foreseen(Value, frozen=True):
    """When what waits will start, from ``at`` on."""

    at: float
    jobs: tuple[ForecastRow, ...]
    run_times: RunTimes


class Executors(Value, frozen=True):
    """One page of the executors of an application, by number: the live ones, and the latest of those that ended. ``total``
    counts all that the filters find; ``next`` is the cursor of the next page, "" on the last."""

    total: int
    next: str
    executors: tuple[ExecutorView, ...]
    removed: tuple[ExecutorView, ...]


class History(Value, frozen=True):
    """The use of the cluster over the last hour, a list for each field: element by element they belong together. Cores and
    memory are those of live workers."""

    at: list[float]
    workers: list[int]
    cores: list[int]
    cores_used: list[int]
    memory_mib: list[int]
    memory_used_mib: list[int]
    drivers: list[int]
    drivers_waiting: list[int]
    apps: list[int]
    apps_waiting: list[int]


class Health(Value, frozen=True):
    status: str


class Submitted(Value, frozen=True):
    id: str


class Drain(Value, frozen=True):
    """``reason`` is one line, and shown. What still runs there ``deadline`` seconds from now is stopped; 0: never."""

    reason: str = ""
    deadline: float = 0.0

    def __post_init__(self) -> None:
        check_drain(self.reason, self.deadline)


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
        drivers={state.value: count for state, count in view.driver_states.items() if count},
        applications=_count(app.state.value for app in (*view.active_apps, *view.completed_apps)),
        live_workers=len(alive),
        cores=sum(worker.cores for worker in alive),
        cores_used=sum(worker.cores_used for worker in alive),
        memory_mib=sum(worker.memory_mib for worker in alive),
        memory_used_mib=sum(worker.memory_used_mib for worker in alive),
        warnings=view.warnings,
    )


def _count(states: Iterable[str]) -> dict[str, int]:
    return dict(Counter(states))
