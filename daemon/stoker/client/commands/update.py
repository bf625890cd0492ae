"""``stoker update ID...``: change the pool, the priority or the time limit of drivers and applications."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from stoker.client.commands.common import add_connection_arguments, time_limit
from stoker.client.commands.hold import for_each
from stoker.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker update [OPTIONS] ID..."
    add_connection_arguments(parser)
    parser.add_argument("--pool", metavar="POOL", default="", help="the pool that they are charged to from now on")
    parser.add_argument("--priority", metavar="N", type=int, help="within the pool; of your own jobs, only a lower one")
    parser.add_argument(
        "--time-limit", metavar="TIME", help="such as 2h, or none; of your own jobs, only a shorter one"
    )
    parser.add_argument("--admin", action="store_true", help="use this machine's admin key, which may change all jobs")
    parser.add_argument("ids", nargs="+", metavar="ID", help="driver-... or app-...")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    limit = 0.0 if args.time_limit == "none" else time_limit(args.time_limit)
    if not args.pool and args.priority is None and limit is None:
        raise UsageError("nothing to change: give --pool, --priority or --time-limit")
    return for_each(
        args,
        environ,
        lambda client, job_id: client.update(job_id, pool=args.pool, priority=args.priority, time_limit=limit),
    )
