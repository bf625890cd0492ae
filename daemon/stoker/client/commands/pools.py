"""``stoker pools``: weights, parts, limits, and what waits (docs/scheduling.md)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from stoker.client.commands.common import add_connection_arguments, configured, connected
from stoker.client.show import table as text
from stoker.client.show.shadow import shadow_tables
from stoker.core.model.pools import Quota
from stoker.core.model.resources import Amounts
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
_RESOURCES = "Resources"  # the last column of both, where there are any
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
        cluster = client.cluster()
    pools, shadow = cluster.pools, cluster.shadow
    if args.json:
        import msgspec  # noqa: PLC0415 - one of two ways

        from stoker.core.model.views import complete  # noqa: PLC0415

        document = {"pools": complete(pools), "shadow": complete(shadow)}
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        print(_tables(pools, all_rows=args.all) if pools else NONE)
        if shadow is not None:
            print(f"\n{shadow_tables(shadow)}")
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
            _named(person.resources, pool.settings.most_per_user),
        ]
        for pool in pools
        for person in pool.principals
    ]
    parts = [text.table("Pools", *_used(_POOL, [_pool(pool) for pool in pools]))]
    if people:
        headers, rows = _used(_PERSON, people)
        shown = rows if all_rows else rows[: text.MOST_ROWS]
        parts.append(text.table("Users", headers, shown, total=len(people)))
    return "\n\n".join(parts)


def _used(headers: tuple[str, ...], rows: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the table with its last column, resources, if a row has any."""
    if any(row[-1] for row in rows):
        return (*headers, _RESOURCES), rows
    return headers, [row[:-1] for row in rows]


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
        _named(pool.resources, settings.most),
    ]


def _named(held: Amounts, most: Quota) -> str:
    """Return ``2 of 8 gpu`` for each resource that is held or limited."""
    has, limits = dict(held), dict(most.resources)
    names = sorted(has.keys() | limits.keys())
    return ", ".join(f"{_of(str(has.get(name, 0)), _text(limits.get(name)))} {text.clean(name)}" for name in names)


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"


def _of(used: str, most: str) -> str:
    return f"{used} of {most}" if most else used


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _memory(mib: int | None) -> str:
    return "" if mib is None else text.memory(mib)
