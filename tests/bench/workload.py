"""Waits of real workloads: traces replayed through the real core in virtual time, beside textbook schedulers.

``python -m tests.bench.workload`` prints the table of docs/scheduling.md. The figures do not depend on the machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stoker.core.model.pools import DEFAULT_POOL, Pool, Pools
from tests.bench.common import Settings
from tests.bench.table import Measure
from tests.bench.waits_plot import svg
from tests.support import oracle
from tests.support.replay import WORKER_CORES, Replay
from tests.support.traces import LUBLIN, NASA, Figures, Limits, Trace, TracedJob, figures, read, waits_by_width

TRACES = (LUBLIN, NASA)
PLOTTED = ("first fit", "EASY backfilling", "Stoker without pools.yml", "Stoker, fifo pool", "Stoker, fair pool")
Schedule = Callable[[Sequence[TracedJob], int], list[float]]


class Case(NamedTuple):
    """A way to schedule. ``limits``: what it knows of run times."""

    name: str
    schedule: Schedule
    limits: Limits = "exact"
    traces: tuple[Trace, ...] = TRACES


def textbook(algorithm: oracle.Algorithm) -> Schedule:
    """Return a textbook algorithm, on plain processors."""
    return lambda jobs, cores: oracle.starts(jobs, cores, algorithm)


def core(pools: Pools, *, gangs: bool = False) -> Schedule:
    """Return the real core with these pools, on workers of 16 cores. Without ``gangs`` wide jobs hold what they get."""
    return lambda jobs, cores: Replay(jobs, workers=cores // WORKER_CORES, pools=pools, gangs=gangs).run()


def one_pool(policy: Literal["fair", "fifo"], **scheduler: Any) -> Schedule:
    """Return the real core with one pool, whose wide jobs are gangs. They may reserve the whole machine."""
    pool = Pool(name=DEFAULT_POOL, policy=policy)
    return core(Pools(pools={pool.name: pool}, is_configured=True, reserved_share=1.0, **scheduler), gangs=True)


CASES = (
    Case("strict FIFO", textbook("fifo")),
    Case("first fit", textbook("first fit")),
    Case("EASY backfilling", textbook("easy")),
    Case("Stoker without pools.yml", core(Pools(), gangs=True), limits="unknown"),
    Case("Stoker, fifo pool", one_pool("fifo")),
    Case("Stoker, fair pool", one_pool("fair")),
    Case("Stoker, fair pool, limits unknown", one_pool("fair"), limits="unknown"),
)


class Result(NamedTuple):
    """``stuck``: how many jobs never start; then there are no figures."""

    trace: Trace
    case: Case
    jobs: list[TracedJob]
    starts: list[float]

    @property
    def stuck(self) -> int:
        return sum(start < 0 for start in self.starts)

    @property
    def figures(self) -> Figures:
        return figures(self.jobs, self.starts, self.trace.cores)


def results(*, most: int | None = None) -> Iterator[Result]:
    """Run every case, on the first ``most`` jobs of its traces."""
    for trace in TRACES:
        for case in CASES:
            if trace in case.traces:
                jobs = read(trace, limits=case.limits, most=most)
                yield Result(trace, case, jobs, case.schedule(jobs, trace.cores))


def workload(settings: Settings) -> Iterator[Measure]:
    """Measure each case of both traces."""
    for result in results(most=1000 if settings.quick else None):
        what = f"{result.trace.name}, {result.case.name}"
        if result.stuck:
            yield Measure(f"{what}: jobs that never start", "jobs", [float(result.stuck)])
            continue
        found = result.figures
        yield Measure(f"{what}: mean wait", "s", [found.mean])
        yield Measure(f"{what}: 95th percentile", "s", [found.p95])
        yield Measure(f"{what}: largest wait", "s", [found.largest])
        yield Measure(f"{what}: bounded slowdown", "", [found.slowdown])
        yield Measure(f"{what}: utilisation", "", [found.utilisation])
        yield Measure(f"{what}: Jain's index", "", [found.jain])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workload", description=__doc__)
    parser.add_argument("--most", type=int, metavar="N", help="only the first N jobs of each trace")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="write the longest waits by width as SVG (Lublin's jobs)"
    )
    asked = parser.parse_args()
    print("| workload | scheduler | mean wait, s | 95 % | largest | slowdown | utilisation | Jain |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    curves = {}
    for result in results(most=asked.most):
        row = [f"{result.stuck:,} of {len(result.jobs):,} jobs never start"] if result.stuck else result.figures.row()
        print("|", " | ".join([result.trace.name, result.case.name, *row]), "|", flush=True)
        if result.trace is LUBLIN and result.case.name in PLOTTED and not result.stuck:
            curves[result.case.name] = waits_by_width(result.jobs, result.starts)
    if asked.plot:
        which = f"the first {asked.most:,} jobs" if asked.most else "all jobs"
        asked.plot.write_text(svg(f"Longest wait by width, {which} of the Lublin trace", curves))


if __name__ == "__main__":
    main()
