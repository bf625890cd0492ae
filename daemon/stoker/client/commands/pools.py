"""``stoker pools``: weights, parts, limits, and what waits (docs/scheduling.md)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from stoker.client.commands.common import add_connection_arguments, configured, connected
from stoker.client.show import table as text
from stoker.core.model.views import PoolView

_POOL = (
    "Pool",
    "Policy",
    "Weight",
    "Now",
    "Past",
    "Cores",
    "Memory",
    "Drivers",
    "Applications",
    "Waiting",
    "Oldest wait",
)
_PERSON = ("Pool", "User", "Part", "Cores", "Memory", "Drivers", "Waiting")
NONE = "This cluster has no pools: its jobs are served in the order they came (pools.yml: docs/scheduling.md)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker pools [OPTIONS]"
    add_connection_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="print for scripts; memory in MiB, times in seconds since 1970"
    )
    parser.add_argument("--all", action="store_true", help="print all users of each pool")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    with connected(args, configured(args, environ)) as client:
        pools = client.cluster().pools
    if args.json:
        import msgspec  # noqa: PLC0415 - one of two ways

        from stoker.core.model.views import complete  # noqa: PLC0415

        print(
            msgspec.json.format(msgspec.json.encode({"pools": [complete(pool) for pool in pools]}), indent=2).decode()
        )
    else:
        print(_tables(pools, all_rows=args.all) if pools else NONE)
    sys.stdout.flush()
    return 0


def _tables(pools: tuple[PoolView, ...], *, all_rows: bool) -> str:
    people = [
        [
            text.clean(pool.name),
            text.clean(person.name or "(nobody in particular)"),
            _percent(person.part),
            _of(str(person.cores), _text(pool.settings.most_per_user.cores)),
            _of(text.memory(person.memory_mib), _memory(pool.settings.most_per_user.memory_mib)),
            _of(str(person.drivers), _text(pool.settings.most_per_user.drivers)),
            str(person.waiting),
        ]
        for pool in pools
        for person in pool.principals
    ]
    parts = [text.table("Pools", _POOL, [_pool(pool) for pool in pools])]
    if people:
        shown = people if all_rows else people[: text.MOST_ROWS]
        parts.append(text.table("Users", _PERSON, shown, total=len(people)))
    return "\n\n".join(parts)


def _pool(pool: PoolView) -> list[str]:
    settings = pool.settings
    below = " below min" if pool.is_below_min else ""
    return [
        text.clean(pool.name),
        settings.policy,
        str(settings.weight),
        _percent(pool.part_now) + below,
        _percent(pool.part_past),
        _of(str(pool.cores), _text(settings.most.cores)),
        _of(text.memory(pool.memory_mib), _memory(settings.most.memory_mib)),
        _of(str(pool.drivers), _text(settings.most.drivers)),
        str(pool.applications),
        str(pool.waiting),
        text.lasting(pool.oldest, 0.0),
    ]


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"


def _of(used: str, most: str) -> str:
    return f"{used} of {most}" if most else used


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _memory(mib: int | None) -> str:
    return "" if mib is None else text.memory(mib)
