"""``stoker status [ID]``: the cluster, a driver, an application or a worker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stoker.client.commands.common import add_connection_arguments, configured, connected
from stoker.core.model.states import ApplicationState, DriverState
from stoker.core.model.views import AppView, ClusterView, DriverView, WorkerView
from stoker.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from stoker.core.model.filters import Filters

AnyView = ClusterView | DriverView | AppView | WorkerView

FILTERS = ("state", "user", "pool", "name", "worker", "text")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker status [OPTIONS] [ID]"
    add_connection_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="print for scripts; memory in MiB, times in seconds since 1970"
    )
    parser.add_argument("--all", action="store_true", help="print all rows of long tables")
    option = parser.add_argument
    option("--state", metavar="STATE", help="only jobs in this state, such as RUNNING")
    option("--user", metavar="USER", help="only jobs of this user")
    option("--pool", metavar="POOL", help="only jobs of this pool")
    option("--name", metavar="NAME", help="only jobs of this name; * stands for any text")
    option("--worker", metavar="WORKER", help="only this worker (id, HOST:PORT or HOST), and the jobs on it")
    option("--text", metavar="WORDS", help="only jobs that contain all these words")
    parser.add_argument(
        "id",
        nargs="?",
        metavar="ID",
        help="driver-..., app-..., worker-... or tasks of an array: driver-..._3-9; default: the cluster",
    )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    filters = _filters(args)
    config = configured(args, environ)
    with connected(args, config) as client:
        view = client.status(args.id) if args.id else client.cluster()
        waits = view.state in (DriverState.SUBMITTED, ApplicationState.WAITING)
        cluster = client.cluster() if waits and not args.json else None
    if args.json:
        from stoker.client.show.as_json import as_json  # noqa: PLC0415 - one of two ways

        print(as_json(filters.cluster(view) if filters and isinstance(view, ClusterView) else view))
    else:
        print(_as_text(view, cluster, all_rows=args.all, filters=filters))
    sys.stdout.flush()
    return 0


def _filters(args: argparse.Namespace) -> Filters | None:
    """Return the filters that are set, if any. Raises UsageError."""
    given = {name: getattr(args, name) for name in FILTERS if getattr(args, name) is not None}
    if given and args.id:
        raise UsageError(f"--{next(iter(given))} narrows the lists of the cluster: leave out {args.id}")
    for name, value in given.items():
        if not value.strip():
            raise UsageError(f"--{name} must not be empty: leave it out to set no filter")
    states = dict.fromkeys([*(state.value for state in DriverState), *(state.value for state in ApplicationState)])
    state = given.get("state", "").upper()
    if state and state not in states:
        hint = did_you_mean(state, states) or f"use one of {', '.join(states)}"
        raise UsageError(f"--state {given['state'][:40]} is not a state of a driver or an application: {hint}")
    if not given:
        return None
    from stoker.core.model.filters import Filters  # noqa: PLC0415 - most commands have none

    return Filters(**given | ({"state": state} if state else {}))


def _as_text(view: AnyView, cluster: ClusterView | None, *, all_rows: bool, filters: Filters | None) -> str:
    """``cluster`` explains why a job waits."""
    if isinstance(view, (DriverView, AppView)):
        from stoker.client.show import job  # noqa: PLC0415 - most ask for the cluster

        return (
            job.driver(view, cluster, all_rows=all_rows)
            if isinstance(view, DriverView)
            else job.app(view, cluster, all_rows=all_rows)
        )
    from stoker.client.show import cluster as render  # noqa: PLC0415 - the other way

    return (
        render.worker(view)
        if isinstance(view, WorkerView)
        else render.cluster(view, all_rows=all_rows, filters=filters)
    )
