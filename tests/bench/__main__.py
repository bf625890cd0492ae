"""``python -m tests.bench``: measure Stoker, and HyperQueue and Dask where they are installed; print one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import (
    arrays,
    commands,
    crowded,
    daemons,
    dashboard,
    drivers,
    engines,
    failover,
    fleet,
    following,
    interfaces,
    limits,
    playbooks,
    spark,
    workload,
)
from tests.bench.common import Settings
from tests.bench.peers import Peers
from tests.bench.table import Measure, number, render

GROUPS: dict[str, Callable[[Settings], Iterator[Measure]]] = {
    "start": daemons.cold_start,
    "commands": commands.commands,
    "latency": drivers.latency,
    "rate": drivers.rates,
    "many": drivers.many,
    "limits": limits.limits,
    "size": daemons.idle_size,
    "crowd": crowded.crowded,
    "arrays": arrays.arrays,
    "following": following.following,
    "interfaces": interfaces.interfaces,
    "kill": daemons.killed_worker,
    "restart": daemons.restart,
    "dashboard": dashboard.dashboards,
    "playbooks": playbooks.playbooks,
    "fleet": fleet.fleet,
    "failover": failover.failover,
    "durable": failover.durable,
    "replaced": failover.replaced_executor,
    "spark": spark.spark,
    "executors": spark.executors,
    "gateway": spark.gateway,
    "engines": engines.engines,
    "workload": workload.workload,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--peers", metavar="DIR", help="folder of venv-hq and venv-dask (default: $PEERS)")
    parser.add_argument("--only", metavar="GROUP,..", help=f"groups to run, of {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to check that the bench works")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write all values to this file")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else list(GROUPS)
    unknown = sorted(set(wanted) - set(GROUPS))
    if unknown:
        parser.error(f"unknown group {', '.join(unknown)}: choose from {', '.join(GROUPS)}")
    peers = args.peers or os.environ.get("PEERS")
    settings = Settings(Peers(Path(peers) if peers else None), quick=args.quick)
    measures: list[Measure] = []
    for name in wanted:
        for measure in GROUPS[name](settings):
            measures.append(measure)
            print(f"{name}: {measure.name}: {number(measure.median)} {measure.unit}", file=sys.stderr, flush=True)
    load = os.getloadavg()[0]
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} CPUs, load at the end {load:.1f}; medians\n")
    print(render(measures))
    if args.json is not None:
        args.json.write_text(json.dumps([measure.as_dict() for measure in measures], indent=1) + "\n")
    return 0 if all(measure.is_met is not False for measure in measures) else 1


if __name__ == "__main__":
    sys.exit(main())
