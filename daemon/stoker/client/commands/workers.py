"""Shared by the commands about workers: ``drain``, ``undrain``, ``forget``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from stoker.client.api import Client
from stoker.client.commands.common import configured, door
from stoker.client.notices import say
from stoker.config.client import add_client_arguments
from stoker.core.model.states import Role
from stoker.core.model.views import WorkerView


def add_worker_names(parser: argparse.ArgumentParser, command: str) -> None:
    """Add ``--master``, ``--json`` and the workers."""
    parser.usage = f"stoker {command} [OPTIONS] WORKER|HOST[:PORT]..."
    add_client_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the workers for scripts, as 'stoker status --json' does"
    )
    parser.add_argument("workers", nargs="+", metavar="WORKER", help="an id, a host (all its workers) or HOST:PORT")


def change_workers(
    args: argparse.Namespace, environ: Mapping[str, str], change: Callable[[Client], Sequence[WorkerView]]
) -> int:
    """Make one request with the admin key, and print the workers concerned."""
    with Client(config=configured(args, environ), role=Role.ADMIN, notice=say, door=door()) as client:
        show_workers(change(client), json=args.json)
    return 0


def show_workers(workers: Sequence[WorkerView], *, json: bool) -> None:
    if json:
        from stoker.client.show.as_json import workers_as_json  # noqa: PLC0415 - one of two ways

        print(workers_as_json(workers), flush=True)
    else:
        from stoker.client.show import cluster as render  # noqa: PLC0415 - one of two ways

        print(render.workers(workers), flush=True)
