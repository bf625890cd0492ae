"""Executors dealt one by one: one application alone gets what the spec gives it, several never get more than there is."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.master.scheduling.dealing import Contender, deal_executors
from stoker.core.master.scheduling.placement import AppNeed, Offer, place_executors
from stoker.core.model.policy import WorkerSelection
from stoker.core.model.resources import Amounts


class NoPools:
    """All jobs are equal: only priority and order of submission count."""

    def pool_key(self, _name: str) -> int:
        return 0

    def principal_key(self, _name: str, _principal: str) -> int:
        return 0

    def refusal(
        self, _name: str, _principal: str, _cores: int, _memory_mib: int, _resources: Amounts = (), *, is_driver: bool
    ) -> str:
        return ""

    def grant(
        self, _name: str, _principal: str, _cores: int, _memory_mib: int, _resources: Amounts = (), *, drivers: int = 0
    ) -> None:
        return None


OFFERS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=6).map(
    lambda sizes: [Offer(f"w{index}", cores, memory) for index, (cores, memory) in enumerate(sizes)]
)
NEEDS = st.builds(
    AppNeed,
    cores_left=st.integers(0, 12),
    cores_per_executor=st.none() | st.integers(1, 3),
    memory_mib=st.integers(0, 3),
    executors=st.integers(0, 2),
    executor_limit=st.integers(0, 8),
)
SELECTIONS: st.SearchStrategy[WorkerSelection] = st.sampled_from(
    ("CORES_FREE_DESC", "CORES_FREE_ASC", "MEMORY_FREE_DESC", "MEMORY_FREE_ASC", "WORKER_ID")
)


@settings(max_examples=300, deadline=None)
@given(offers=OFFERS, need=NEEDS, spread_out=st.booleans(), selection=SELECTIONS)
def test_one_application_alone_gets_what_the_spec_gives(
    offers: list[Offer], need: AppNeed, spread_out: bool, selection: WorkerSelection
) -> None:
    twin = copy.deepcopy(offers)
    contender = Contender(need, "p", "ada", 0, in_turns=True)
    (dealt,) = deal_executors([contender], offers, NoPools(), spread_out=spread_out, selection=selection)
    assert dealt == place_executors(need, twin, spread_out=spread_out, selection=selection)
    assert offers == twin


@settings(max_examples=200, deadline=None)
@given(offers=OFFERS, needs=st.lists(NEEDS, min_size=2, max_size=4), spread_out=st.booleans(), selection=SELECTIONS)
def test_several_take_what_there_is_and_no_more(
    offers: list[Offer], needs: list[AppNeed], spread_out: bool, selection: WorkerSelection
) -> None:
    before = copy.deepcopy(offers)
    contenders = [Contender(need, "p", "ada", 0, in_turns=True) for need in needs]
    dealt = deal_executors(contenders, offers, NoPools(), spread_out=spread_out, selection=selection)
    for was, offer in zip(before, offers, strict=True):
        assert offer.cores_free >= 0 and offer.memory_free >= 0
        taken = sum(cores for allotment in dealt for worker_id, cores in allotment if worker_id == offer.worker_id)
        assert was.cores_free - offer.cores_free == taken
    for need, allotment in zip(needs, dealt, strict=True):
        assert sum(cores for _, cores in allotment) <= need.cores_left
        assert not allotment or need.executors + len(allotment) <= need.executor_limit
