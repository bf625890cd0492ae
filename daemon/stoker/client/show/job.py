"""One driver or one application in full."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence

from stoker.client.notices import local_times
from stoker.client.show import table as text
from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.limits import disk, with_rest
from stoker.core.model.profiles import Profile
from stoker.core.model.resources import Amounts, address_words, words
from stoker.core.model.states import ApplicationState, DriverState
from stoker.core.model.values import Exit
from stoker.core.model.views import AppView, ArrayView, AttemptView, ClusterView, DriverView, ExecutorView

_WIDE = 400  # characters of a reason or a command line


def driver(view: DriverView, cluster: ClusterView | None = None, *, all_rows: bool = False) -> str:
    """A driver, an array, or several of its tasks; at most 50 runs of tasks in equal states unless ``all_rows``. ``cluster``
    is needed to say why it waits."""
    reason = view.reason
    if view.state is DriverState.SUBMITTED and cluster is not None:
        reason = "; ".join(filter(None, [reason, local_times(Waiting(cluster).driver(view))]))
    command = " ".join([view.main, *([view.main_class] if view.main_class else []), *map(shlex.quote, view.args)])
    supervised = ", supervised" if view.supervise else ""
    head = f"{view.id}  {text.state(view.state.value)}" + (f"  {text.clean(reason, _WIDE)}" if reason else "")
    pairs = [
        ("Name", text.clean(view.name)),
        ("Program", text.clean(command, _WIDE)),
        ("Pool", _pool(view)),
        (
            "Wants",
            f"{view.cores} core{'s' * (view.cores != 1)}, {text.memory(view.memory_mib)}{_named(view.resources)}{supervised}",
        ),
        *_array(view.array),
        ("Time limit", with_rest(view.time_limit, view.running_since, time.time())),
        ("Disk limit", disk(view.max_disk_mib) if view.max_disk_mib else ""),
        ("Submitted", text.when(view.submitted) + (f" by {text.clean(view.who)}" if view.who else "")),
        ("Started", text.when(view.started)),
        ("Ended", text.when(view.ended)),
        ("Kill", text.ordered(view.kill, "requested")),
        ("Hold", text.ordered(view.hold, "held")),
        ("After", f"{', '.join(view.after)} ({view.after_end})" if view.after else ""),
        ("Worker", text.clean(view.worker_id)),
        ("Last error line", text.clean(_last_error_line(view), _WIDE)),
    ]
    parts = [head + "\n" + text.fields(pairs)]
    if view.attempts:
        headers = _with_resources(
            ("No", "Worker", "State", "Pid", "Started", "Duration", "Used", "Exit"), view.attempts
        )
        rows = [_attempt(attempt)[: len(headers)] for attempt in view.attempts]
        parts.append(text.table("Attempts", headers, rows))
    if view.array is not None and view.array.runs:
        rows = [[run.indices, str(run.tasks), text.state(run.state)] for run in view.array.runs]
        most = None if all_rows else text.MOST_ROWS
        parts.append(text.table("Tasks", ("Indices", "Tasks", "State"), rows[:most], total=len(rows)))
    return "\n\n".join(parts)


def _array(array: ArrayView | None) -> list[tuple[str, str]]:
    """Return the fields of an array: its indices, and what has become of its tasks."""
    if array is None:
        return []
    limit = f", at most {array.limit} at once" if array.limit else ""
    return [("Array", f"{text.clean(array.indices, _WIDE)}{limit}"), ("Tasks", progress(array))]


def progress(array: ArrayView) -> str:
    """Return what has become of the tasks, in words."""
    counts = (
        ("waiting", array.waiting),
        ("held", array.held),
        ("running", array.running),
        ("finished", array.finished),
        ("failed", array.failed),
        ("killed", array.killed),
        ("lost or not startable", array.error),
    )
    known = ", ".join(f"{count} {word}" for word, count in counts if count)
    return f"{array.tasks} task{'s' * (array.tasks != 1)}: {known}"


def app(view: AppView, cluster: ClusterView | None = None, *, all_rows: bool = False) -> str:
    """At most 50 executors of each kind unless ``all_rows``; ``cluster`` is needed to say why it waits."""
    head = f"{view.id}  {text.state(view.state.value)}" + (f"  {text.clean(view.reason, _WIDE)}" if view.reason else "")
    if cluster is not None and (why := Waiting(cluster).app(view)):
        head += f"  {'no executor yet' if view.state is ApplicationState.WAITING else 'waits'}: {local_times(why)}"
    limit = "unlimited" if view.cores_max is None else str(view.cores_max)
    per = "all that is given on a worker" if view.cores_per_executor is None else str(view.cores_per_executor)
    pairs = [
        ("Name", text.clean(view.name)),
        ("User", text.clean(view.who)),
        ("Pool", _pool(view)),
        ("Cores", f"{view.cores_granted} granted, limit {limit}; {per} per executor"),
        ("Executor memory", text.memory(view.memory_mib)),
        ("Executor needs", text.clean(words(view.resources), _WIDE)),
        ("Begins with", f"{view.at_once} executors at once" if view.at_once else ""),
        ("Executor limit", "" if view.executor_limit is None else str(view.executor_limit)),
        *((f"Profile {profile.id}", _profile(profile)) for profile in view.profiles),
        ("Time limit", with_rest(view.time_limit, view.running_since, time.time())),
        ("Disk limit", disk(view.max_disk_mib) if view.max_disk_mib else ""),
        ("Submitted", text.when(view.submitted)),
        ("Ended", text.when(view.ended)),
        ("Kill", text.ordered(view.kill, "requested")),
        ("Hold", text.ordered(view.hold, "held")),
        ("UI", text.clean(view.ui_url)),
    ]
    parts = [head + "\n" + text.fields(pairs)]
    most = None if all_rows else text.MOST_ROWS
    columns = ("No", "Worker", "Cores", "Memory", "State", "Pid", "Started", "Used", "Exit")
    for title, executors in (("Executors", view.executors), ("Removed executors", view.removed_executors)):
        if executors:
            headers = _with_resources(columns, executors)
            rows = [_executor(executor)[: len(headers)] for executor in executors[:most]]
            parts.append(text.table(title, headers, rows, total=len(executors)))
    return "\n\n".join(parts)


def _pool(view: DriverView | AppView) -> str:
    priority = f"priority {view.priority}" if view.priority else ""
    return ", ".join(filter(None, [text.clean(view.pool), priority]))


def _profile(profile: Profile) -> str:
    """Return what executors of another resource profile need."""
    each = profile.cores_per_executor
    cores = "all cores given on a worker" if each is None else f"{each} core{'s' * (each != 1)}"
    sizes = f"{cores}, {text.memory(profile.memory_mib)}{_named(profile.resources)}"
    return f"{sizes} per executor; limit {profile.executor_limit}"


def _named(amounts: Amounts) -> str:
    return f", {text.clean(words(amounts), _WIDE)}" if amounts else ""


def _with_resources(headers: tuple[str, ...], views: Sequence[AttemptView | ExecutorView]) -> tuple[str, ...]:
    """Return the headers, with one more where something holds named resources."""
    return (*headers, "Resources") if any(view.resources for view in views) else headers


def _last_error_line(view: DriverView) -> str:
    """Return what its latest attempt wrote last to stderr, if that failed."""
    return view.attempts[-1].exit.last_error_line if view.attempts else ""


def _account(run: AttemptView | ExecutorView) -> str:
    return f" as {text.clean(run.account)}" if run.account else ""


def _attempt(attempt: AttemptView) -> list[str]:
    return [
        str(attempt.number),
        text.clean(attempt.worker_id) + _account(attempt),
        text.state(attempt.state.value),
        str(attempt.pid or ""),
        text.when(attempt.started),
        text.lasting(attempt.started, attempt.ended),
        attempt.exit.used,
        _exit(attempt.exit),
        text.clean(address_words(attempt.resources)),
    ]


def _executor(executor: ExecutorView) -> list[str]:
    return [
        str(executor.id),
        text.clean(executor.worker_id) + _account(executor),
        str(executor.cores),
        text.memory(executor.memory_mib) + (f" (profile {executor.profile})" if executor.profile else ""),
        text.state(executor.state.value),
        str(executor.pid or ""),
        text.when(executor.started),
        executor.exit.used,
        _exit(executor.exit),
        text.clean(address_words(executor.resources)),
    ]


def _exit(exit: Exit) -> str:
    status = "" if exit.status is None else str(exit.status)
    return text.clean("  ".join(filter(None, [status, exit.reason])), 80)
