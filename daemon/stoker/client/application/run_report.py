"""What ``stoker run`` prints about its executors: why it waits, how they ended, and the exit code that follows."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from stoker.client.notices import local_times
from stoker.core.application.events import Executor, Removed
from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import Exit
from stoker.core.model.views import ClusterView

MOST_LINES = 20  # of failures shown one by one

# These executors ended by themselves. LOST and KILLED ones were replaced: others did their work.
_BY_THEMSELVES = (ExecutorState.EXITED, ExecutorState.FAILED)


def exit_status(removed: Removed, executors: Sequence[Executor]) -> int:
    """0 if every executor exited with 0; else the highest status of one, 128 + the signal's number for signals.

    1 if the application was killed, failed without a failing executor, or never had one.
    """
    if removed.state is ApplicationState.KILLED or not executors:
        return 1
    worst = max((_status(executor) for executor in executors), default=0)
    return max(worst, 1) if removed.state is not ApplicationState.FINISHED else worst


def _status(executor: Executor) -> int:
    if executor.state not in _BY_THEMSELVES or executor.exit.is_success:
        return 0
    # A shell sees one byte of an exit code: any other number counts as 1.
    status = executor.exit.status or 1
    return status if 0 < status < 256 else 1


def failures(app_id: str, removed: Removed, executors: Sequence[Executor]) -> list[str]:
    """Return lines about failures, for the user; none if all executors succeeded."""
    failed = [executor for executor in executors if _status(executor)]
    lines = [f"executor {executor.id} on host {executor.host}: {how_it_ended(executor)}" for executor in failed]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"... and {len(lines) - MOST_LINES} more failed: stoker status {app_id}"]
    if removed.state is not ApplicationState.FINISHED and (not failed or removed.state is ApplicationState.KILLED):
        lines.append(f"{app_id} is {removed.state.value}{': ' + removed.reason if removed.reason else ''}")
    elif not executors:
        lines.append(f"{app_id} has ended, but none of its executors ever ran")
    return lines


def how_it_ended(executor: Executor) -> str:
    exit = executor.exit
    if exit.is_over_limit:
        return f"stopped: {exit.reason}"
    if exit.oom:
        return exit.reason
    if exit.signal is not None:
        return f"killed by signal {exit.signal}{_signal_name(exit.signal)}"
    if exit.code is None:
        return f"{executor.state.value.lower()}: {exit.reason or 'nobody saw how it ended'}"
    return f"exited with code {exit.code}{_why(exit)}"


def _why(exit: Exit) -> str:
    reason = exit.reason.strip()
    return f" ({reason})" if reason and not reason.startswith("Command exited with code") else ""


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def waiting_for(app_id: str, cluster: ClusterView | None) -> str:
    """Return why the application has no executor yet, as ``stoker status`` explains it."""
    app = next((app for app in cluster.active_apps if app.id == app_id), None) if cluster is not None else None
    why = Waiting(cluster).app(app) if cluster is not None and app is not None else ""
    return f"{app_id} waits for resources" + (f": {local_times(why)}" if why else "")
