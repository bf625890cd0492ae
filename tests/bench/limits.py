"""What measuring and limiting jobs costs: no-op drivers a second beside a cluster that does neither."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator

from tests.bench.common import TRUE, Settings, client_of, folder, running, small
from tests.bench.drivers import WARM_UP, round_of
from tests.bench.table import Measure
from tests.support.uml import KERNEL, run_in_kernel

ACCOUNT, ENFORCE = 5.0, 15.0  # percent that no-op drivers may take longer
REPORTED = 100.0  # ms
_BOOTED = 3600.0  # seconds that all may take in the kernel


def limits(settings: Settings) -> Iterator[Measure]:
    """Rounds of no-op drivers, in turn on a cluster that measures its jobs and on one that does not; then the same with
    control groups, in a kernel of its own, where there is one."""
    measure = Measure("no-op drivers: cost of limits=account, by processes", "%", target=ACCOUNT)
    with contextlib.ExitStack() as stack:
        clients = {}
        for mode in ("off", "account"):
            cluster = stack.enter_context(running(2, **{"spark.stoker.worker.limits": mode}))
            clients[mode] = stack.enter_context(client_of(cluster))
        rates: dict[str, list[float]] = {mode: [] for mode in clients}
        for number in range(settings.times(9) + 1):
            for mode, client in clients.items():
                _, rate = round_of(client, small(client, TRUE), settings.size(1000) if number else WARM_UP)
                rates[mode] += [rate] if number else []
    measure.values = [_cost(off, on) for off, on in zip(rates["off"], rates["account"], strict=True)]
    yield measure
    if shutil.which(KERNEL) is not None:
        yield from _with_groups(settings)


def _with_groups(settings: Settings) -> Iterator[Measure]:
    sizes = (settings.times(9), settings.size(100), settings.size(10_000))
    command = [sys.executable, "tests/bench/kernel_limits.py", *map(str, sizes)]
    with folder() as place:
        lines = run_in_kernel(place, command, within=_BOOTED)
    rates = [line["rates"] for line in lines if "rates" in line]
    for mode, target in (("account", ACCOUNT), ("enforce", ENFORCE)):
        costs = [_cost(rate["off"], rate[mode]) for rate in rates]
        yield Measure(f"no-op drivers: cost of limits={mode}, by control groups", "%", costs, target=target)
    reported = [1000 * line["reported"] for line in lines if "reported" in line]
    yield Measure("kernel's kill of a job over its memory -> client", "ms", reported, target=REPORTED)
    last = lines[-1]
    for what, found in last["left"].items():
        yield Measure(f"{last['many']:,} drivers with groups: {what} left", "", [float(len(found))], target=0)


def _cost(off: float, on: float) -> float:
    """Return by how many percent fewer drivers end in a second."""
    return 100 * (1 - on / off)
