"""Bugs in what pools permit, and in what a submission is said to get."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_TRACES = ("tests/unit/core/master/scheduling/test_traces.py",)
MUTANTS = (
    Mutant("a dry run ignores the limits of pools", "daemon/stoker/core/master/schedule.py",
           "return bool(_place_drivers(ctx, queue, _offers(ctx, queue), turns, lambda _: None))",
           "return bool(_place_drivers(ctx, queue, _offers(ctx, queue), None, lambda _: None))", _TRACES),
    Mutant("a dry run draws from the random numbers of the next pass", "daemon/stoker/core/master/schedule.py",
           "_offers(ctx, queue), turns, lambda _: None))", "_offers(ctx, queue), turns, ctx.rng.shuffle))", _TRACES),
    Mutant("no time limit is within the longest one of a pool", "daemon/stoker/core/master/sharing/admission.py",
           "if not most or 0 < limit <= most:", "if not most or limit <= most:",
           ("tests/unit/core/master/waiting/test_update.py",)),
    Mutant("the first two hundred pools are all that metrics count", "daemon/stoker/web/metrics/pools.py",
           "if pools[MOST_POOLS:]:", "if False:", ("tests/unit/web/test_metrics.py",)),
)  # fmt: skip
