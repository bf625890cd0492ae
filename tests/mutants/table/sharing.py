"""Bugs in what pools permit, and in what a submission is said to get."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_TRACES = ("tests/unit/core/master/scheduling/test_traces.py",)
MUTANTS = (
    Mutant("a dry run ignores the limits of pools", "daemon/stoker/core/master/schedule.py",
           "placed = _place_drivers(ctx, queue, offers, turns, reserver_of(ctx, offers, queue), shuffle=lambda _: None)",
           "placed = _place_drivers(ctx, queue, offers, None, None, shuffle=lambda _: None)", _TRACES),
    Mutant("a dry run draws from the random numbers of the next pass", "daemon/stoker/core/master/schedule.py",
           "reserver_of(ctx, offers, queue), shuffle=lambda _: None)",
           "reserver_of(ctx, offers, queue), shuffle=ctx.rng.shuffle)", _TRACES),
    Mutant("no time limit is within the longest one of a pool", "daemon/stoker/core/master/sharing/admission.py",
           "if not most or 0 < limit <= most:", "if not most or limit <= most:",
           ("tests/unit/core/master/waiting/test_update.py",)),
    Mutant("the first two hundred pools are all that metrics count", "daemon/stoker/web/metrics/pools.py",
           "if pools[MOST_POOLS:]:", "if False:", ("tests/unit/web/test_metrics.py",)),
)  # fmt: skip
