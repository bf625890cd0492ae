"""``stoker explain ID``: why a driver or an application waits, and what would help (docs/scheduling.md)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from stoker.client.commands.common import add_connection_arguments, configured, connected
from stoker.client.notices import local_times
from stoker.client.show import table as text
from stoker.core.master.scheduling.explanation import explain
from stoker.core.model.states import ApplicationState, DriverState
from stoker.core.model.views import AppView, DriverView, WorkerView
from stoker.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker explain [OPTIONS] ID"
    add_connection_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print for scripts")
    parser.add_argument("id", metavar="ID", help="driver-... or app-...")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    with connected(args, configured(args, environ)) as client:
        job = client.status(args.id)
        if isinstance(job, WorkerView):
            raise UsageError(f"{args.id} is a worker: 'stoker status {args.id}' shows it")
        cluster = client.cluster()
    waits = _waits(job)
    found = explain(cluster, job) if waits else None
    if args.json:
        from stoker.client.show.as_json import as_json  # noqa: PLC0415 - one of two ways

        print("null" if found is None else as_json(found))
    elif found is None:
        print(f"{job.id} is {text.state(job.state.value)} and waits for nothing{_why_ended(job)}")
    else:
        print(f"{job.id}  {text.state(job.state.value)}  since {text.when(job.submitted)}")
        print("\n".join(f"  {text.clean(local_times(line), 400)}" for line in found.lines))
    sys.stdout.flush()
    return 0


def _waits(job: DriverView | AppView) -> bool:
    """Return whether it waits for a worker; an application, whether it wants more executors."""
    if isinstance(job, DriverView):
        return job.state is DriverState.SUBMITTED
    if job.state is ApplicationState.WAITING:
        return True
    has_all = job.executor_limit is not None and len(job.executors) >= job.executor_limit
    wants = job.cores_max is None or job.cores_granted + (job.cores_per_executor or 1) <= job.cores_max
    return job.state is ApplicationState.RUNNING and wants and not has_all


def _why_ended(job: DriverView | AppView) -> str:
    return f": {text.clean(job.reason, 400)}" if job.reason else ""
