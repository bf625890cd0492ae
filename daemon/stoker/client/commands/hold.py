"""``stoker hold ID...``: do not start drivers, and grant applications no further executors, until they are released."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from stoker.client.api import Client
from stoker.client.commands.common import add_connection_arguments, configured, connected
from stoker.client.notices import say
from stoker.core.model.arrays.ids import tasks_id
from stoker.core.model.states import Role
from stoker.core.model.values import APP_ID, DRIVER_ID
from stoker.errors import NotAuthorized, NotFound, Refused, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_names(parser, "hold")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return for_each(args, environ, lambda client, job_id: client.hold(job_id))


def add_names(parser: argparse.ArgumentParser, command: str) -> None:
    parser.usage = f"stoker {command} [OPTIONS] ID..."
    add_connection_arguments(parser)
    parser.add_argument(
        "--admin", action="store_true", help=f"use this machine's admin key, which may {command} everybody's jobs"
    )
    parser.add_argument(
        "ids", nargs="+", metavar="ID", help="driver-..., app-..., or tasks of an array: driver-..._17, driver-..._3-9"
    )


def for_each(args: argparse.Namespace, environ: Mapping[str, str], change: Callable[[Client, str], str]) -> int:
    """Change each of ``args.ids`` and print the master's answer. Return 0 when it has accepted all, else 1."""
    for job_id in args.ids:
        if not DRIVER_ID.fullmatch(job_id) and not APP_ID.fullmatch(job_id) and tasks_id(job_id) is None:
            raise UsageError(
                f"{job_id!r} is not an id: write it like driver-20260131120000-0000 or app-20260131120000-0000"
            )
    config, is_done = configured(args, environ), True
    with connected(args, config, role=Role.ADMIN if args.admin else Role.CLIENT) as client:
        for job_id in dict.fromkeys(args.ids):
            try:
                print(change(client, job_id), flush=True)
            except (NotFound, NotAuthorized, Refused) as error:
                say(str(error))
                is_done = False
    return 0 if is_done else 1
