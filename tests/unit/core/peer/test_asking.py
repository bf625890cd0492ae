"""A client's conversation with the masters, with a clock that the test sets: no socket, no thread."""

from __future__ import annotations

import random

import pytest

from stoker.core.model import messages as m
from stoker.core.peer import events as peer
from stoker.core.peer.asking import ANSWER_WITHIN, BACKOFF_CAP, SAY_AFTER
from stoker.core.peer.following import STAGGER
from stoker.core.peer.masters import BACKOFF_FIRST
from tests.unit.core.peer.world import TIMEOUT, A, B, C, World

# --- finding a master ------------------------------------------------------------------------------------------------


def test_addresses_are_tried_in_turn_each_a_little_after_the_one_before() -> None:
    world = World(A, B, C)
    assert world.dialled() == [A]
    world.advance(STAGGER - 0.001)
    assert world.dialled() == []
    world.advance(0.001)
    assert world.dialled() == [B]
    world.advance(STAGGER)
    assert world.dialled() == [C]


def test_the_next_address_does_not_wait_when_one_has_failed() -> None:
    world = World(A, B)
    world.dialled()
    world.close(A)
    assert world.dialled() == [B]


def test_the_first_link_that_opens_is_used_and_the_others_are_dropped_when_it_serves() -> None:
    world = World(A, B)
    world.advance(STAGGER)
    number = world.ask()
    world.open(B)
    assert world.sent() == [(B, number)]
    assert world.links == {A, B}, "it may be a standby, and the slow one the leader"
    world.say(m.Accepted(request=number), B)
    assert world.links == {B}
    assert [answer.request for answer in world.take(peer.Answered)] == [number]


def test_a_slow_leader_is_waited_for_while_the_standby_is_asked() -> None:
    world = World(A, B)
    world.advance(STAGGER)
    number = world.ask()
    world.open(B)
    world.sent()
    world.not_leader(number, B, leader=A)
    assert A in world.links
    world.open(A)
    assert world.sent() == [(A, number)]


def test_a_link_that_opened_second_is_used_when_the_first_is_no_good() -> None:
    world = World(A, B)
    world.advance(STAGGER)
    number = world.ask()
    world.open(B)
    world.open(A)
    assert world.sent() == [(B, number)]
    world.not_leader(number, B)
    assert world.sent() == [(A, number)]


def test_pauses_grow_from_ten_milliseconds_to_a_second() -> None:
    world = World()
    pauses = []
    for _ in range(12):
        failed = world.now
        world.dialled()
        world.close(A)
        while A not in world.links:
            world.advance(0.001)
        pauses.append(world.now - failed)
    assert BACKOFF_FIRST / 2 <= pauses[0] <= BACKOFF_FIRST + 0.002
    assert all(pause <= BACKOFF_CAP + 0.002 for pause in pauses)
    assert min(pauses[-3:]) >= BACKOFF_CAP / 2


def test_it_rests_while_no_master_answers() -> None:
    """A hundred tries are enough for a minute, for each address."""
    world = World(A, B)
    world.core.timeout = 1000.0
    dialled = 0
    for _ in range(60 * 100):
        for address in world.dialled():
            dialled += 1
            world.close(address)
        world.advance(0.01)
    assert dialled <= 2 * 60 / BACKOFF_CAP * 2


def test_a_link_that_neither_opens_nor_fails_is_given_up() -> None:
    world = World()
    world.dialled()
    world.advance(5.5)
    assert world.take(peer.Disconnect) == [peer.Disconnect(A)]
    assert world.dialled() == [A]


# --- who leads -------------------------------------------------------------------------------------------------------


def test_a_standby_sends_us_to_the_leader_even_an_unknown_one() -> None:
    world = World(A, B)
    number = world.ask()
    world.open(A)
    world.sent()
    world.dialled()
    world.not_leader(number, A, leader=C)
    assert world.dialled() == [C]
    world.open(C)
    assert world.sent() == [(C, number)]
    world.say(m.Accepted(request=number), C)
    assert world.links == {C}


def test_a_master_that_names_no_leader_is_left_for_the_next() -> None:
    world = World(A, B)
    number = world.ask()
    world.open(A)
    world.dialled()
    world.not_leader(number, A)
    assert world.dialled() == [B]


def test_two_masters_that_name_each_other_are_not_asked_without_a_pause() -> None:
    world = World(A, B)
    number = world.ask()
    asked = 0
    world.dialled()
    start = world.now
    for address, other in [(A, B), (B, A)] * 10:
        while address not in world.links:
            world.advance(0.005)
        world.open(address)
        asked += len(world.sent())
        world.not_leader(number, address, leader=other)
    assert asked == 20
    assert world.now - start > 5 * BACKOFF_CAP / 2


def test_when_the_link_is_lost_the_same_master_is_tried_first() -> None:
    world = World(A, B)
    world.serve(A)
    world.close(A, "lost the connection")
    world.advance(BACKOFF_FIRST)
    assert world.dialled() == [A]
    world.close(A)
    assert world.dialled() == [B]


def test_a_dying_master_that_still_accepts_costs_milliseconds() -> None:
    """The kernel resets its links before it closes the port; a new leader listens at the same address soon after."""
    world = World()
    world.serve(A)
    died = world.now
    world.close(A, "lost the connection")
    for _ in range(2):
        while not world.dialled():
            world.advance(0.001)
        world.close(A, "hung up during the handshake")
    while not world.dialled():
        world.advance(0.001)
    assert world.now - died <= (1 + 2 + 4) * BACKOFF_FIRST + 0.003


def test_a_silent_master_is_left_and_tried_last() -> None:
    world = World(A, B)
    world.serve(A)
    number = world.ask()
    assert world.sent() == [(A, number)]
    world.advance(ANSWER_WITHIN - 0.1)
    assert world.dialled() == []
    world.advance(0.1)
    assert world.dialled() == [B]
    world.open(B)
    assert world.sent() == [(B, number)]


def test_silence_counts_from_the_latest_answer_and_not_for_questions_that_others_answer() -> None:
    world = World()
    world.serve(A)
    world.ask(m.ReadLog(request=0, id="driver-1", stream="stdout", offset=0, limit=1), prompt=False)
    world.advance(3 * ANSWER_WITHIN)
    assert world.core.master == A
    first, second = world.ask(), world.ask()
    world.advance(ANSWER_WITHIN - 1)
    world.say(m.Accepted(request=first))
    world.advance(ANSWER_WITHIN - 1)
    assert world.core.master == A
    world.say(m.Accepted(request=second))
    world.advance(3 * ANSWER_WITHIN)
    assert world.core.master == A


# --- questions -------------------------------------------------------------------------------------------------------


def test_what_was_not_answered_is_asked_again_in_order() -> None:
    world = World(A, B)
    world.serve(A)
    one, two, three = world.ask(), world.ask(), world.ask()
    world.say(m.Accepted(request=two))
    world.core.forget(two)
    world.sent()
    world.close(A)
    world.advance(BACKOFF_FIRST)
    world.close(A)
    world.open(B)
    assert world.sent() == [(B, one), (B, three)]


def test_a_question_may_have_many_answers_and_be_replaced() -> None:
    world = World(A)
    number = world.ask(m.SubmitDriver(request=0, token="t", driver=None))  # type: ignore[arg-type]
    world.core.replace(number, m.WatchDriver(request=0, driver_id="driver-1"))
    world.open(A)
    (send,) = world.take(peer.Send)
    assert send.message == m.WatchDriver(request=number, driver_id="driver-1")
    for _ in range(3):
        world.say(m.Accepted(request=number))
    assert len(world.take(peer.Answered)) == 3
    world.core.forget(number)
    world.say(m.Accepted(request=number))
    assert world.take(peer.Answered) == []


def test_what_must_not_be_repeated_is_lost_with_the_link() -> None:
    world = World(A)
    number = world.ask(repeat=False)
    world.open(A)
    assert world.sent() == [(A, number)], "asked before there was a link, it is sent"
    world.close(A)
    assert world.take(peer.Lost) == [peer.Lost(number)]
    world.advance(1)
    world.open(A)
    assert world.sent() == []


def test_only_the_master_in_use_is_believed() -> None:
    world = World(A, B)
    number = world.ask()
    world.open(A)
    world.advance(STAGGER)
    world.say(m.Accepted(request=number), B)
    assert world.take(peer.Answered) == []


# --- giving up -------------------------------------------------------------------------------------------------------


def test_it_gives_up_when_no_master_has_served_for_the_timeout_and_then_begins_anew() -> None:
    world = World(A, B)
    for round in (1, 2):
        world.advance(TIMEOUT - 0.1)
        assert world.take(peer.GaveUp) == [], round
        world.advance(0.1)
        (gave_up,) = world.take(peer.GaveUp)
        assert gave_up.kind == "unreachable"
        assert A in gave_up.reason and B in gave_up.reason


def test_a_standby_alone_does_not_count_as_served() -> None:
    world = World(A)
    number = world.ask()
    end = world.now + TIMEOUT
    while world.now < end:
        if A in world.links:
            world.open(A)
            world.not_leader(number, A)
        world.advance(0.05)
    assert [effect.kind for effect in world.take(peer.GaveUp)] == ["unreachable"]


def test_time_without_a_master_counts_from_the_loss() -> None:
    world = World(A)
    world.serve(A)
    world.advance(1000)
    world.close(A)
    world.advance(TIMEOUT - 1)
    assert not world.take(peer.GaveUp)
    world.core.timeout = 2 * TIMEOUT
    world.advance(TIMEOUT)
    assert not world.take(peer.GaveUp)
    world.advance(2)
    assert world.take(peer.GaveUp)


def test_all_denied_ends_it_at_once_and_one_that_may_help_does_not() -> None:
    world = World(A, B)
    world.close(A, "your key is not admitted", denied=True)
    assert not world.take(peer.GaveUp)
    world.close(B, "your key is not admitted", denied=True)
    (gave_up,) = world.take(peer.GaveUp)
    assert gave_up.kind == "not-authorized"
    assert A in gave_up.reason


def test_the_user_is_told_once_while_it_takes_long_and_when_it_is_over() -> None:
    world = World(A)
    number = world.ask()
    world.advance(SAY_AFTER - 0.1)
    assert world.take(peer.Notice) == []
    world.advance(10)
    (notice,) = world.take(peer.Notice)
    assert A in notice.text and "giving up in 18 s" in notice.text
    world.open(A)
    assert world.take(peer.Notice) == [], "it may be a standby"
    world.say(m.Accepted(request=number))
    assert world.take(peer.Notice) == [peer.Notice(f"connected to master {A}")]


# --- any order of anything -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_no_order_of_events_breaks_it_or_makes_it_spin(seed: int) -> None:
    rng = random.Random(seed)
    world = World(A, B, seed=seed)
    world.core.timeout = 1e9
    asked: set[int] = set()
    answered: set[int] = set()
    for _ in range(300):
        linked = sorted(world.links)
        address = rng.choice(linked) if linked else A
        act = rng.randrange(8)
        if not linked or act == 0:
            world.advance(rng.choice((0.0, 0.01, 0.3, 7.0)))
        elif act == 1:
            world.open(address)
        elif act == 2:
            world.close(address, denied=rng.random() < 0.02)
        elif act == 3:
            asked.add(world.ask(repeat=rng.random() < 0.8))
        elif act == 4:
            world.not_leader(rng.randint(1, 40), address, leader=rng.choice((A, B, C, "", "no address")))
        else:
            world.say(m.Accepted(request=rng.randint(1, 40)), address)
        for effect in [*world.take(peer.Answered), *world.take(peer.Lost)]:
            assert effect.request in asked and effect.request not in answered
            answered.add(effect.request)
            world.core.forget(effect.request)
    settle(world, asked - answered)


def settle(world: World, left: set[int]) -> None:
    """One master leads, and answers: every open question is answered."""
    for _ in range(1000):
        world.advance(0.05)
        for address in sorted(world.links):
            if address != world.core.master and address != A:
                world.close(address)
        if A in world.links and world.core.master != A:
            world.open(A)
        for effect in world.take(peer.Send):
            if effect.address == A:
                world.say(m.Accepted(request=effect.message.request))
        for effect in [*world.take(peer.Answered), *world.take(peer.Lost)]:
            left.discard(effect.request)
            world.core.forget(effect.request)
        if not left:
            return
        if world.core.master not in ("", A):
            world.close(world.core.master)
    raise AssertionError(f"never answered: {left}")
