"""The master's metrics for Prometheus. Memory in bytes, times in seconds, as Prometheus expects."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric

from stoker.core.model.resources import Addresses, counted
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState, MasterState, WorkerState
from stoker.core.model.views import AppView, AttemptView, ClusterView, DriverView, ExecutorView, WorkerView

MIB = 1024 * 1024
LOOP, LOOP_WITHIN = 5, 900.0  # runs, seconds
_FAILED = {DriverState.FAILED, DriverState.ERROR, ExecutorState.FAILED, ExecutorState.EXITED}


def cluster_metrics(cluster: ClusterView) -> Iterator[Metric]:
    yield InfoMetricFamily("stoker_build", "Version of this daemon", {"version": cluster.version})
    yield from _master(cluster)
    yield from _resources(cluster.live_workers)
    yield from _jobs(cluster)
    yield from _per_worker(cluster.workers)
    yield from _per_application(cluster.active_apps)


def gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def by_label(
    name: str, meaning: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=list(labels))
    for names, value in values:
        family.add_metric(list(names), value)
    return family


def _master(cluster: ClusterView) -> Iterator[Metric]:
    yield by_label(
        "stoker_master_state",
        "1 for the state this master is in",
        ["state"],
        [([state.value], float(state is cluster.state)) for state in MasterState],
    )
    yield gauge("stoker_master_epoch", "Number of the leadership; it only grows", cluster.epoch)
    yield gauge("stoker_master_warnings", "Warnings on the dashboard", len(cluster.warnings))


def _resources(alive: Sequence[WorkerView]) -> Iterator[Metric]:
    yield gauge("stoker_cores", "Cores of live workers", sum(worker.cores for worker in alive))
    yield gauge("stoker_cores_used", "Cores in use on live workers", sum(worker.cores_used for worker in alive))
    memory, used = sum(worker.memory_mib for worker in alive), sum(worker.memory_used_mib for worker in alive)
    yield gauge("stoker_memory_bytes", "Memory of live workers", memory * MIB)
    yield gauge("stoker_memory_used_bytes", "Memory in use on live workers", used * MIB)
    yield from named_resources([worker.resources for worker in alive], [worker.resources_used for worker in alive])


def named_resources(
    offered: Iterable[Addresses], used: Iterable[Addresses], prefix: str = "stoker"
) -> Iterator[Metric]:
    """Addresses of GPUs and other named resources; no sample where nothing is offered."""
    for name, meaning, of in (
        (f"{prefix}_resource_addresses", "Addresses of a named resource that are offered", offered),
        (f"{prefix}_resource_addresses_used", "Addresses of a named resource that jobs hold", used),
    ):
        count: Counter[str] = Counter()
        for resources in of:
            count.update(dict(counted(resources)))
        yield by_label(
            name, meaning, ["resource"], [([resource], number) for resource, number in sorted(count.items())]
        )


def _jobs(cluster: ClusterView) -> Iterator[Metric]:
    workers = Counter(worker.shown_state for worker in cluster.workers)
    drivers = cluster.driver_states
    apps = Counter(app.state for app in (*cluster.active_apps, *cluster.completed_apps))
    yield by_label(
        "stoker_workers", "Workers by state", ["state"], [([state.value], workers[state]) for state in WorkerState]
    )
    draining = sum(worker.draining for worker in cluster.workers)
    yield gauge("stoker_workers_draining", "Workers that get nothing new", draining)
    live = [worker for worker in cluster.workers if worker.state is WorkerState.ALIVE]
    unfit = Counter(one.kind for worker in live for one in worker.unfit)
    yield by_label(
        "stoker_workers_unfit",
        "Connected workers that get nothing new because their host is not well, by reason",
        ["reason"],
        [([reason], unfit[reason]) for reason in sorted({"disk", "health", "refusals", "users", *unfit})],
    )
    yield by_label(
        "stoker_drivers",
        "Drivers and tasks of arrays by state, those that are over as long as they are retained",
        ["state"],
        [([state.value], drivers[state]) for state in DriverState],
    )
    yield by_label(
        "stoker_applications",
        "Applications by state, those that are over as long as they are retained",
        ["state"],
        [([state.value], apps[state]) for state in ApplicationState],
    )
    now = time.time()
    since = [_driver_waits_since(driver) for driver in cluster.active_drivers if driver.is_queued]
    yield gauge(
        "stoker_drivers_waiting_longest_seconds",
        "How long the driver that waits longest for a worker has waited",
        max(0.0, now - min(since, default=now)),
    )
    since = [_app_waits_since(app) for app in cluster.active_apps if _waits(app)]
    yield gauge(
        "stoker_applications_waiting_longest_seconds",
        "How long the application that waits longest for an executor has waited",
        max(0.0, now - min(since, default=now)),
    )
    loops = {
        "driver": sum(_is_crash_loop(driver.attempts, now) for driver in cluster.active_drivers),
        "application": sum(_is_crash_loop(app.removed_executors, now) for app in cluster.active_apps),
    }
    yield by_label(
        "stoker_crash_loops",
        f"Jobs of which {LOOP} runs in a row failed within the last {LOOP_WITHIN / 60:.0f} minutes",
        ["kind"],
        [([kind], count) for kind, count in loops.items()],
    )


def _driver_waits_since(driver: DriverView) -> float:
    return driver.attempts[-1].ended if driver.attempts else driver.submitted


def _waits(app: AppView) -> bool:
    """Return whether the application wants an executor and has none; one with dynamic allocation may want none."""
    return app.state is ApplicationState.WAITING and app.executor_limit != 0


def _app_waits_since(app: AppView) -> float:
    return max((app.submitted, *(executor.ended for executor in app.removed_executors[-1:])))


def _is_crash_loop(runs: Sequence[AttemptView | ExecutorView], now: float) -> bool:
    latest = [run for run in runs[-LOOP - 1 :] if run.ended][-LOOP:]  # without the one that runs
    return len(latest) == LOOP and all(
        run.ended > now - LOOP_WITHIN and not run.exit.is_success and run.state in _FAILED for run in latest
    )


def _per_worker(workers: Sequence[WorkerView]) -> Iterator[Metric]:
    labels = ["worker", "host"]
    names = [(worker.id, worker.host) for worker in workers]
    for name, meaning, values in (
        ("up", "1 while the worker is alive and not draining", [float(worker.is_live) for worker in workers]),
        ("cores", "Cores of the worker", [worker.cores for worker in workers]),
        ("cores_used", "Cores in use", [worker.cores_used for worker in workers]),
        ("memory_bytes", "Memory of the worker", [worker.memory_mib * MIB for worker in workers]),
        ("memory_used_bytes", "Memory in use", [worker.memory_used_mib * MIB for worker in workers]),
        ("last_heartbeat_seconds", "When it was last heard, Unix time", [w.last_heartbeat for w in workers]),
    ):
        yield by_label(f"stoker_worker_{name}", meaning, labels, zip(names, values, strict=True))


def _per_application(apps: Sequence[AppView]) -> Iterator[Metric]:
    labels = ["app_id", "name", "user"]
    names = [(app.id, app.name, app.user) for app in apps]
    for name, meaning, values in (
        ("cores", "Cores granted to the application", [app.cores_granted for app in apps]),
        ("executors", "Its executors", [len(app.executors) for app in apps]),
        ("executors_removed", "Executors it has lost, the latest 1000", [len(app.removed_executors) for app in apps]),
        ("memory_bytes", "Memory of its executors", [len(app.executors) * app.memory_mib * MIB for app in apps]),
        ("start_time_seconds", "When it registered, Unix time", [app.submitted for app in apps]),
    ):
        yield by_label(f"stoker_application_{name}", meaning, labels, zip(names, values, strict=True))
