"""``stoker what-if``: when what waits would start, as the cluster is and with changes (docs/scheduling.md)."""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from stoker.client.commands.common import add_connection_arguments, add_sharing_arguments, configured, connected, whole
from stoker.client.show import forecast as show
from stoker.config.pools import read_pools
from stoker.config.types import parse_memory, parse_time_limit
from stoker.core.forecast.compare import ClusterChanges, NewDrivers, NewWorkers, forecast, live_ids
from stoker.core.forecast.rebuild import Snapshot
from stoker.core.model.changes import MOST_ADDED
from stoker.core.model.resources import Amounts, check_name
from stoker.core.model.values import HIGHEST_PRIORITY
from stoker.core.model.views import ClusterView
from stoker.errors import Refused, UsageError

T = TypeVar("T")

_SEED = 1  # shuffles of equal workers are the same in both plays
_SIZE = re.compile(
    r"(?:(?P<count>\d+)x)?(?P<cores>\d+)c(?P<memory>\d+[a-z]+)?(?P<named>(?:,[^,@]+)*)(?:@(?P<time>.+))?", re.IGNORECASE
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker what-if [OPTIONS]"
    add_connection_arguments(parser)
    parser.add_argument(
        "--add", metavar="NxCcMg", action="append", default=[],
        help="new workers: 4x16c64g are 4 of 16 cores and 64 GiB; with GPUs: 2x16c64g,gpu=4; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--remove", metavar="WORKER", action="append", default=[],
        help="this worker gets nothing new (host, host:port or id); what runs on it ends there; may be repeated",
    )  # fmt: skip
    parser.add_argument("--pools", metavar="FILE", help="a pools.yml in place of the cluster's")
    parser.add_argument(
        "--submit", metavar="NxCcMg@TIME", action="append", default=[],
        help="new drivers: 10x4c16g@2h are 10 of 4 cores and 16 GiB that run for 2 hours; may be repeated",
    )  # fmt: skip
    add_sharing_arguments(parser)
    parser.add_argument(
        "--assume", metavar="TIME",
        help="how long a job runs that has neither earlier runs nor a limit (default: as long as others did)",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="show all rows")
    parser.add_argument("--json", action="store_true", help="print for scripts")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    submit = tuple(_size("--submit", text, _drivers) for text in args.submit)
    if not submit and (args.pool is not None or args.priority is not None):
        raise UsageError("--pool and --priority are of what --submit submits, for example --submit 4c16g@2h --pool etl")
    changes = ClusterChanges(
        add=tuple(_size("--add", text, _workers) for text in args.add),
        pools=read_pools(Path(args.pools)) if args.pools is not None else None,
        submit=submit,
        pool=args.pool or "",
        priority=whole("--priority", args.priority, -HIGHEST_PRIORITY),
    )
    assumed = _time("--assume", args.assume) if args.assume is not None else None
    with connected(args, configured(args, environ)) as client:
        snapshot = Snapshot(client.cluster(), client.scheduling())
    changes = replace(changes, remove=_found(snapshot.cluster, args.remove))
    found = forecast(snapshot, changes, lambda: random.Random(_SEED), assumed)  # noqa: S311 - guards nothing
    if found.refused:
        raise Refused(f"--submit: {found.refused}")
    if args.json:
        print(show.as_json(found))
    else:
        print(show.as_text(found, snapshot.at, is_change=changes != ClusterChanges(), all_rows=args.all))
    sys.stdout.flush()
    return 0


def _size(option: str, text: str, make: Callable[[str, re.Match[str], int, Amounts], T]) -> T:
    match = _SIZE.fullmatch(text)
    form = "4x16c64g" if option == "--add" else "10x4c16g@2h"
    if match is None:
        raise UsageError(f"{option} {text!r}: write it like {form} (how many, cores, memory)")
    count = int(match["count"] or 1)
    if not 1 <= count <= MOST_ADDED:
        raise UsageError(f"{option} {text!r}: give 1 to {MOST_ADDED:,} of them")
    return make(text, match, count, _named(option, match["named"]))


def _workers(text: str, match: re.Match[str], count: int, resources: Amounts) -> NewWorkers:
    if match["time"]:
        raise UsageError(f"--add {text!r}: workers have no run time; leave out what follows '@'")
    if not match["memory"] or not int(match["cores"]):
        raise UsageError(f"--add {text!r}: a worker has cores and memory: write it like 4x16c64g")
    return NewWorkers(count, int(match["cores"]), parse_memory(match["memory"]), resources)


def _drivers(text: str, match: re.Match[str], count: int, resources: Amounts) -> NewDrivers:
    seconds = _time("--submit", match["time"]) if match["time"] else 0.0
    return NewDrivers(count, int(match["cores"]), parse_memory(match["memory"] or "1g"), resources, seconds)


def _named(option: str, text: str) -> Amounts:
    """Return the amounts of ``,gpu=2,fpga=1``, in the order of their names."""
    found: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, equals, amount = part.partition("=")
        if not equals or not amount.isdecimal() or not int(amount):
            raise UsageError(f"{option}: {part!r} is not NAME=N, for example gpu=2")
        try:
            found[check_name(name)] = int(amount)
        except ValueError as error:
            raise UsageError(f"{option}: {error}") from None
    return tuple(sorted(found.items()))


def _time(option: str, text: str) -> float:
    try:
        return parse_time_limit(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def _found(cluster: ClusterView, names: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of workers. Raises UsageError for a name that none has."""
    ids: list[str] = []
    for name in names:
        found = live_ids(cluster, name)
        if not found:
            raise UsageError(f"--remove: there is no live worker {name}: 'stoker workers' lists them")
        ids += found
    return tuple(ids)
