"""Past use equals a recount, whenever it was settled."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.master.sharing.accounts import Accounts
from stoker.core.model.records import UsageRecord

OURS = ("p", "ada")
STEPS = st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(0, 64), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, half_life=st.sampled_from((60.0, 3600.0, 86400.0)))
def test_past_use_equals_a_recount(steps: list[tuple[int, int, bool]], half_life: float) -> None:
    """The recount: each stretch of time at its rate, decayed from there to the end, as an integral."""
    accounts = Accounts(half_life=half_life)
    accounts.look(1_800_000_000.0)
    rate, stretches = 0, []
    for elapsed, cores, settled in steps:
        start = accounts.now
        if settled:  # charged with nothing, so settled without a change
            accounts.charge(OURS, 0, 0)
        accounts.charge(OURS, cores - rate, 0)
        rate = cores
        accounts.look((start + elapsed) / 1000)
        stretches.append((start, accounts.now, cores))
    decay = math.log(2) / (half_life * 1000)
    expected = sum(
        cores / decay * (math.exp(-decay * (accounts.now - end)) - math.exp(-decay * (accounts.now - start)))
        for start, end, cores in stretches
    )
    found = accounts.past(accounts.of(OURS))[0]
    assert math.isclose(found, expected, rel_tol=1e-5, abs_tol=100 * len(steps))


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    accounts = Accounts(half_life=3600.0)
    accounts.look(1_800_000_000.0)
    accounts.charge(OURS, 4, 1024)
    accounts.look(1_800_000_100.0)
    before = accounts.past(accounts.of(OURS))
    accounts.look(1_700_000_000.0)
    assert accounts.past(accounts.of(OURS)) == before


def test_an_account_that_no_longer_counts_is_forgotten() -> None:
    accounts = Accounts(half_life=60.0)
    accounts.look(1_800_000_000.0)
    accounts.load(UsageRecord(pool="p", principal="ada", cores=1000, memory_mib=5, at=1_700_000_000_000))
    accounts.all_changed()
    assert list(accounts.take_changed()) == [(OURS, None)]
    assert OURS not in accounts.used


def test_a_new_half_life_counts_from_now_on() -> None:
    accounts = Accounts(half_life=60.0)
    accounts.look(1_800_000_000.0)
    accounts.load(UsageRecord(pool="p", principal="ada", cores=8_000_000, at=1_800_000_000_000))
    accounts.look(1_800_000_060.0)
    accounts.set_half_life(120.0)
    assert accounts.past(accounts.of(OURS))[0] == 4_000_000
    accounts.look(1_800_000_180.0)
    assert accounts.past(accounts.of(OURS))[0] == 2_000_000


def test_named_resources_count_as_cores_do() -> None:
    accounts = Accounts(half_life=3600.0)
    accounts.look(1_800_000_000.0)
    for amount, seconds in ((4, 100.0), (-3, 50.0), (-1, 4000.0)):
        accounts.charge(OURS, amount, 0, (("gpu", amount),))
        accounts.look(accounts.now / 1000 + seconds)
    use = accounts.of(OURS)
    assert use.resources == () and dict(accounts.past_resources(use)) == {"gpu": accounts.past(use)[0]}
    assert accounts.past_resources_of_pools() == {"p": accounts.past_resources(use)}
    ((_, record),) = accounts.take_changed()
    assert record is not None and dict(record.resources)["gpu"] == record.cores > 0
    twin = Accounts(half_life=3600.0)
    twin.look(accounts.now / 1000)
    twin.load(record)
    assert twin.past_resources(twin.of(OURS)) == record.resources
