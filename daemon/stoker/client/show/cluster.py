"""The cluster as tables (spec 15.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from stoker.client.notices import local_times
from stoker.client.show import table as text
from stoker.core.model.pools import DEFAULT_POOL
from stoker.core.model.resources import address_words
from stoker.core.model.states import ApplicationState, DriverState, WorkerState
from stoker.core.model.views import AppView, ClusterView, DriverView, JobNumbers, WorkerView

if TYPE_CHECKING:
    from stoker.core.model.filters import Filters

T = TypeVar("T")


def cluster(view: ClusterView, *, all_rows: bool = False, filters: Filters | None = None) -> str:
    """The whole cluster in numbers, and its tables: of what the filters find, at most 50 rows each unless ``all_rows``."""
    parts, whole = [_summary(view)], view
    parts += [f"warning: {text.clean(warning, 200)}" for warning in view.warnings]
    if filters is not None:
        view = filters.cluster(view)
        if not (view.active_drivers or view.completed_drivers or view.active_apps or view.completed_apps):
            parts.append("No driver or application matches.")
    most = None if all_rows else text.MOST_ROWS
    workers = sorted(view.workers, key=lambda worker: (not worker.is_live, worker.host, worker.port))
    drivers = sorted((one for one in view.active_drivers if not _waits(one)), key=lambda driver: driver.id)
    active_apps = sorted((one for one in view.active_apps if not _waits(one)), key=lambda app: app.id)
    done_drivers = sorted(view.completed_drivers, key=lambda driver: driver.ended, reverse=True)
    done_apps = sorted(view.completed_apps, key=lambda app: app.ended, reverse=True)
    parts += _table("Workers", _WORKER, [_worker(worker) for worker in workers[:most]], workers)
    parts += _table("Running applications", _APP, [_app(app) for app in active_apps[:most]], active_apps)
    parts += _table("Drivers", _DRIVER, [_driver(driver) for driver in drivers[:most]], drivers)
    parts += _waiting(view, whole, most)
    parts += _table("Completed applications", _APP, [_app(app) for app in done_apps[:most]], done_apps)
    parts += _table("Completed drivers", _DRIVER, [_driver(driver) for driver in done_drivers[:most]], done_drivers)
    return "\n\n".join(parts)


_WHY = 300  # characters of a reason
_WORKER = ("Worker", "Address", "State", "Cores", "Memory", "Running", "Last heard")
_APP = ("Application", "Name", "User", "State", "Cores", "Memory per executor", "Executors", "Submitted", "Duration")
_DRIVER = ("Submission", "Name", "User", "State", "Cores", "Memory", "Worker", "Submitted", "Duration", "Exit")


def _waits(job: DriverView | AppView) -> bool:
    return job.state in (DriverState.SUBMITTED, ApplicationState.WAITING)


def _waiting(view: ClusterView, whole: ClusterView, most: int | None) -> list[str]:
    """A table of the jobs of ``view`` that wait, each with the reason, in the order in which they came. ``whole``: the
    cluster without filters, which explains them."""
    every: tuple[DriverView | AppView, ...] = (*view.active_apps, *view.active_drivers)
    jobs = sorted((job for job in every if _waits(job)), key=lambda job: (job.submitted, job.id))
    if not jobs:
        return []
    from stoker.core.master.scheduling.explain import Waiting  # noqa: PLC0415 - often nothing waits

    waiting, has_pools = Waiting(whole), len(whole.pools) > 1
    rows = []
    for job in jobs[:most]:
        helps = " or ".join(waiting.helps(job))
        why = waiting.why(job) + (f"; would help: {helps}" if helps else "")
        place = [_place(job)] if has_pools else []
        name, who = text.clean(job.name, 30), text.clean(job.who, 20)
        since = text.lasting(job.submitted, 0.0)
        rows.append([job.id, name, who, *place, text.state(job.state.value), since, text.clean(local_times(why), _WHY)])
    headers = ("Job", "Name", "User", *(["Pool"] if has_pools else []), "State", "Waits", "Why")
    return _table("Waiting", headers, rows, jobs)


def _place(job: DriverView | AppView) -> str:
    return text.clean(job.pool or DEFAULT_POOL) + (f", priority {job.priority}" if job.priority else "")


def _table(title: str, headers: Sequence[str], rows: list[list[str]], everything: Sequence[T]) -> list[str]:
    return [text.table(title, headers, rows, total=len(everything))] if everything else []


def _summary(view: ClusterView) -> str:
    alive = view.live_workers
    pairs = [
        ("Master", f"{text.clean(view.url)}  {text.state(view.state.value)}"),
        ("Version", f"{text.clean(view.version)}, epoch {view.epoch}"),
        ("Dashboard", text.clean(view.webui_url)),
        ("Workers", _count(view)),
        ("Cores", text.used(str(sum(w.cores for w in alive)), str(sum(w.cores_used for w in alive)))),
        (
            "Memory",
            text.used(
                text.memory(sum(w.memory_mib for w in alive)), text.memory(sum(w.memory_used_mib for w in alive))
            ),
        ),
        ("Resources", text.named([w.resources for w in alive], [w.resources_used for w in alive])),
        ("Limits", _same_or_counted([worker.limits for worker in alive])),
        ("Jobs run as", _same_or_counted([worker.run_as for worker in alive])),
        ("Not obeyed", _same_or_counted([worker.users_fault for worker in alive])),
        ("Applications", _numbers(view.app_numbers)),
        ("Drivers", _numbers(view.driver_numbers)),
    ]
    return text.fields(pairs)


def _numbers(jobs: JobNumbers) -> str:
    later = f", {jobs.relaunching} to be restarted" if jobs.relaunching else ""
    return f"{jobs.running} running, {jobs.waiting} waiting{later}, {jobs.completed} completed"


def _same_or_counted(words_of_workers: Sequence[str]) -> str:
    """What the workers do, with their number where they differ."""
    counts = Counter(filter(None, words_of_workers))
    if len(counts) == 1:
        return text.clean(next(iter(counts)), 200)
    return text.clean("; ".join(f"{count} {words}" for words, count in counts.most_common()), 200)


def _count(view: ClusterView) -> str:
    counts = Counter(worker.shown_state for worker in view.workers)
    draining = sum(worker.draining for worker in view.workers if worker.state is WorkerState.ALIVE)
    counts[WorkerState.DECOMMISSIONED] -= draining  # those that remain have announced their end
    kinds = [f"{counts[kind]} {kind.value.lower()}" for kind in WorkerState if counts[kind]]
    unfit = sum(bool(worker.unfit) for worker in view.workers if worker.state is WorkerState.ALIVE)
    kinds += [f"{draining} draining"] * bool(draining) + [f"{unfit} of them unfit"] * bool(unfit)
    return ", ".join(kinds) or "none"


def workers(views: Sequence[WorkerView]) -> str:
    """A table of them alone."""
    return text.table("Workers", _WORKER, [_worker(view) for view in views])


def worker(view: WorkerView) -> str:
    """One worker in full."""
    address, state, cores, memory, running, heard = _worker(view)[1:]
    note = f"  nothing new is placed here: 'stoker undrain {address}' changes that" if view.draining else ""
    pairs = [
        ("Address", address),
        ("Cores", cores),
        ("Memory", memory),
        ("Resources", _resources(view)),
        ("Runs", f"{running} drivers and executors"),
        ("Last heard", heard),
        ("Limits", text.clean(view.limits, 400)),
        ("Jobs run as", text.clean(view.run_as, 400)),
        ("Not obeyed", text.clean(view.users_fault, 400)),
        ("Version", text.clean(view.shown_version)),
        ("Dashboard", text.clean(view.webui_url)),
    ]
    if view.drain is not None:
        pairs.append(("Drained" if view.draining else "Undrained", text.ordered(view.drain, "").strip()))
    pairs.append(("Reason", text.clean(view.drain_reason, 400)))
    pairs.append(("Jobs end at", text.when(view.drain_until)))
    for one in view.unfit:
        since = f", since {text.when(one.since)}" if one.since else ""
        pairs.append((f"Unfit: {text.clean(one.kind, 20)}", text.clean(one.text, 400) + since))
    if view.refusal:
        pairs.append(("Refused a job", text.clean(view.refusal, 400)))
    return f"{text.clean(view.id)}  {state}{note}\n{text.fields(pairs)}"


def _resources(view: WorkerView) -> str:
    """The addresses that it offers, and those that jobs hold."""
    held = address_words(view.resources_used)
    return text.clean(address_words(view.resources) + (f" (used: {held})" if held else ""), 400)


def _worker(worker: WorkerView) -> list[str]:
    return [
        text.clean(worker.id),
        text.clean(worker.address),
        text.state(worker.state.value) + _remark(worker),
        text.used(str(worker.cores), str(worker.cores_used)),
        text.used(text.memory(worker.memory_mib), text.memory(worker.memory_used_mib)),
        str(worker.running),
        text.when(worker.last_heartbeat),
    ]


def _remark(worker: WorkerView) -> str:
    unfit = " unfit: " + text.clean(", ".join(one.kind for one in worker.unfit), 40) if worker.unfit else ""
    draining, refuses = " draining" if worker.draining else "", " refuses work" if worker.refusal else ""
    old, users = " old keeper" if worker.keeper_release else "", " users.yml not obeyed" if worker.users_fault else ""
    return draining + unfit + refuses + old + users


def _app(app: AppView) -> list[str]:
    return [
        app.id,
        text.clean(app.name, 30),
        text.clean(app.who, 20),
        text.state(app.state.value),
        f"{app.cores_granted} of {'any' if app.cores_max is None else app.cores_max}",
        text.memory(app.memory_mib),
        str(len(app.executors)),
        text.when(app.submitted),
        text.lasting(app.submitted, app.ended),
    ]


def _again(driver: DriverView) -> str:
    """Return how many attempts it had, or how many tasks of an array have ended."""
    if driver.array is not None:
        return f" {driver.array.ended}/{driver.array.tasks}"
    return f" #{len(driver.attempts)}" if len(driver.attempts) > 1 else ""


def _driver(driver: DriverView) -> list[str]:
    status = driver.attempts[-1].exit.status if driver.attempts and driver.state.is_final else None
    if driver.array is not None and driver.state.is_final:
        status = driver.array.status
    return [
        driver.id,
        text.clean(driver.name, 30),
        text.clean(driver.who, 20),
        text.state(driver.state.value) + _again(driver),
        str(driver.cores),
        text.memory(driver.memory_mib),
        text.clean(driver.worker_host, 30),
        text.when(driver.submitted),
        text.lasting(driver.started, driver.ended),
        "" if status is None else str(status),
    ]
