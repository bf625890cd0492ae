"""How an application ends, and that every order of events leads there."""

from __future__ import annotations

import random

import msgspec
import pytest

from stoker.core.application import events as ev
from stoker.core.application.machine import STOP_TIMEOUT
from stoker.core.model import messages as m
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.states import RegistrationPhase as Phase
from stoker.core.peer import events as peer
from tests.unit.core.application.world import ID, A, B, World, added, ask, registered, stop, updated

# --- the end ---------------------------------------------------------------------------------------------------------


def test_removed_by_the_master_it_may_still_ask_for_logs(world: World) -> None:
    world.say(m.ApplicationRemoved(app_id=ID, state=ApplicationState.FINISHED))
    assert world.take(ev.Removed) == [ev.Removed(ApplicationState.FINISHED, "")]
    world.advance(100)
    world.nothing_left()  # no heartbeats, no registrations
    log = m.ReadLog(request=0, id=ID, stream="stdout", executor_id=0)
    number = ask(world, log)
    assert world.sent(m.ReadLog) == [msgspec.structs.replace(log, request=number)]
    world.close()
    world.advance(0.1)
    assert world.take(peer.Connect) == [peer.Connect(A)]
    world.open()
    assert len(world.take(peer.Send)) == 1  # the question, no registration
    world.say(m.LogData(request=number, data=b"x"))
    assert len(world.take(peer.Answered)) == 1
    world.close()
    world.advance(100)
    world.nothing_left()  # nothing to ask: no connection is kept up


def test_removed_by_one_master_it_is_not_registered_by_the_next() -> None:
    world = World(A, B)
    world.register(A)
    world.open(B)
    (pending,) = world.sent(m.RegisterApplication, B)
    world.say(m.ApplicationRemoved(app_id=ID, state=ApplicationState.KILLED, reason="by request"), A)
    world.effects.clear()
    world.say(registered(pending.request, epoch=2, address=B), B)
    assert world.core.phase is Phase.REMOVED
    assert world.take(ev.Registered) == []


def test_another_applications_removal_is_not_ours(world: World) -> None:
    world.say(m.ApplicationRemoved(app_id="app-20260101000000-0002", state=ApplicationState.KILLED))
    assert world.core.phase is Phase.REGISTERED


def test_a_removal_without_a_final_state_is_a_failure(world: World) -> None:
    world.say(m.ApplicationRemoved(app_id=ID, state=ApplicationState.RUNNING, reason="?"))
    assert world.take(ev.Removed) == [ev.Removed(ApplicationState.FAILED, "?")]


def test_stop_unregisters_and_waits_for_the_word(world: World) -> None:
    stop(world)
    (message,) = world.sent(m.UnregisterApplication)
    assert (message.app_id, message.state) == (ID, ApplicationState.FINISHED)
    assert not world.take(ev.Stopped)
    world.say(m.Accepted(request=message.request))
    assert len(world.take(ev.Stopped)) == 1 and world.core.phase is Phase.OVER


def test_stop_ends_in_time_whatever_the_master_does(world: World) -> None:
    stop(world)
    world.advance(STOP_TIMEOUT)
    assert len(world.take(ev.Stopped)) == 1


def test_stop_while_the_master_is_away_tells_it_if_it_comes_back_in_time(world: World) -> None:
    world.close()
    stop(world)
    world.advance(0.1)
    world.register(epoch=2)
    assert len(world.sent(m.UnregisterApplication)) == 1


def test_stop_before_it_was_registered_just_closes() -> None:
    world = World()
    world.open()
    world.effects.clear()
    stop(world)
    assert world.effects == [peer.Disconnect(A), ev.Stopped()]


def test_questions_left_at_the_end_are_answered(world: World) -> None:
    number = ask(world, m.GetStatus(request=0))
    stop(world)
    world.advance(STOP_TIMEOUT)
    late = ask(world, m.GetStatus(request=0))
    answers = world.take(peer.Answered)
    assert [answer.request for answer in answers] == [number, late]
    assert all(isinstance(answer.message, m.Failed) for answer in answers)


# --- any order of anything -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_no_order_of_events_breaks_it_or_makes_it_spin(seed: int) -> None:
    rng = random.Random(seed)
    world = World(A, B, seed=seed)
    asked: list[int] = []
    answered: list[int] = []
    for _ in range(300):
        address = rng.choice((A, B))
        request = rng.randint(0, 40)
        act = rng.randrange(13)
        if act == 0:
            world.open(address)
        elif act == 1:
            world.close(address, denied=rng.random() < 0.02)
        elif act in (2, 3, 4):
            world.say(registered(request, rng.randint(0, 5), ID if rng.random() < 0.9 else "app", address), address)
        elif act == 5:
            world.say(added(rng.randint(0, 5)), address)
        elif act == 6:
            world.say(updated(rng.randint(0, 5), rng.choice(list(ExecutorState))), address)
        elif act == 7:
            world.say(m.Failed(request=request, reason="x", code="not-leader", leader="d:1"), address)
        elif act == 8:
            world.say(m.Accepted(request=request), address)
        elif act == 9 and rng.random() < 0.05:
            world.say(m.ApplicationRemoved(app_id=ID, state=rng.choice(list(ApplicationState))), address)
        elif act == 10:
            asked.append(ask(world, m.GetStatus(request=0)))
        else:
            world.advance(rng.choice((0.0, 0.01, 1.0, 7.0)))
        answered += [answer.request for answer in world.take(peer.Answered)]
        assert (world.core._following.leader is not None) <= (world.core.phase in (Phase.REGISTERED, Phase.REMOVED))
    stop(world)
    world.advance(STOP_TIMEOUT)
    answered += [answer.request for answer in world.take(peer.Answered)]
    assert world.core.phase is Phase.OVER
    assert sorted(answered) == sorted(asked)  # each question exactly once
