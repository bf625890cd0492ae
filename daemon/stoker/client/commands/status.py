"""``stoker status [ID]``: the cluster, a driver, an application or a worker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from stoker.client.commands.common import add_connection_arguments, configured, connected
from stoker.core.model.states import ApplicationState, DriverState
from stoker.core.model.views import AppView, DriverView, WorkerView


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker status [OPTIONS] [ID]"
    add_connection_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="print for scripts; memory in MiB, times in seconds since 1970"
    )
    parser.add_argument("--all", action="store_true", help="print all rows of long tables")
    parser.add_argument("id", nargs="?", metavar="ID", help="driver-..., app-... or worker-...; default: the cluster")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    config = configured(args, environ)
    with connected(args, config) as client:
        view = client.status(args.id) if args.id else client.cluster()
        waits = view.state in (DriverState.SUBMITTED, ApplicationState.WAITING)
        cluster = client.cluster() if waits and not args.json else None
    if args.json:
        from stoker.client.show.as_json import as_json  # noqa: PLC0415 - one of two ways

        print(as_json(view))
    else:
        from stoker.client.show import cluster as render  # noqa: PLC0415 - one of two ways
        from stoker.client.show import job as render_job  # noqa: PLC0415

        if isinstance(view, DriverView):
            print(render_job.driver(view, cluster))
        elif isinstance(view, AppView):
            print(render_job.app(view, cluster, all_rows=args.all))
        elif isinstance(view, WorkerView):
            print(render.worker(view))
        else:
            print(render.cluster(view, all_rows=args.all))
    sys.stdout.flush()
    return 0
