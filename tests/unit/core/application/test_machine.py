"""The application's state machine, with a clock that the test sets: no socket, no thread."""

from __future__ import annotations

import pytest

from stoker.core.application import events as ev
from stoker.core.application.executors import RETAINED_FINISHED, ExecutorTable
from stoker.core.application.machine import RECLAIM_TIMEOUT
from stoker.core.model import messages as m
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.states import RegistrationPhase as Phase
from stoker.core.model.values import Exit
from stoker.core.peer import events as peer
from tests.unit.core.application.world import APP, ID, A, B, C, World, added, ask, registered, updated

# --- registration (spec 9.4) -----------------------------------------------------------------------------------------


def test_registers_with_all_masters_and_follows_the_one_that_leads() -> None:
    world = World(A, B)
    assert world.take(peer.Connect) == [peer.Connect(A), peer.Connect(B)]
    world.open(A)
    world.open(B)
    sends = world.take(peer.Send)
    assert [send.address for send in sends] == [A, B]
    assert all(send.message.token == "t0ken" and send.message.app == APP for send in sends)
    world.say(m.Failed(request=sends[0].message.request, reason="standby", code="not-leader"), A)
    world.say(registered(sends[1].message.request, epoch=3), B)
    assert world.core.app_id == ID and world.core.phase is Phase.REGISTERED
    assert len(world.take(ev.Registered)) == 1
    world.nothing_left()


def test_three_tries_in_a_minute_then_gives_up() -> None:
    world = World()
    world.open()
    tokens = set()
    for tries in (1, 2, 3):
        (message,) = world.sent(m.RegisterApplication)
        tokens.add(message.token)
        world.advance(20.0 if tries < 3 else 19.9)
    assert world.core.phase is Phase.REGISTERING
    assert tokens == {"t0ken"}  # the same application, however often it is asked for
    world.advance(0.1)
    (gave_up,) = world.take(peer.GaveUp)
    assert gave_up.kind == "unreachable"
    assert gave_up.reason.startswith("All masters are unresponsive! Giving up.")
    assert "a:7077" in gave_up.reason
    assert world.take(peer.Disconnect) == [peer.Disconnect(A)]
    world.effects.clear()
    world.advance(1000)
    world.nothing_left()


def test_a_late_answer_to_an_early_try_counts() -> None:
    world = World()
    world.open()
    (first,) = world.sent(m.RegisterApplication)
    world.advance(21)
    assert len(world.sent(m.RegisterApplication)) == 1
    world.say(registered(first.request))
    assert world.core.phase is Phase.REGISTERED


def test_an_absent_master_is_tried_with_growing_jittered_delays() -> None:
    world = World()
    delays = []
    for _ in range(12):
        assert world.take(peer.Connect) == [peer.Connect(A)]
        world.close()
        delays.append(world.core.next_deadline() - world.now)
        world.advance(delays[-1])
    assert 0.005 <= delays[0] <= 0.01
    assert all(delay <= 2.0 for delay in delays)
    assert min(delays[-3:]) >= 1.0
    assert len(set(delays)) == len(delays)


def test_a_connection_that_neither_opens_nor_fails_is_given_up() -> None:
    world = World()
    world.take(peer.Connect)
    world.advance(5.5)
    assert world.take(peer.Disconnect) == [peer.Disconnect(A)]
    assert world.take(peer.Connect) == [peer.Connect(A)]


def test_the_leader_a_standby_names_is_tried_at_once() -> None:
    world = World()
    world.open()
    (message,) = world.sent(m.RegisterApplication)
    world.take(peer.Connect)
    world.say(m.Failed(request=message.request, reason="standby", code="not-leader", leader=C))
    world.advance(0)
    assert world.take(peer.Connect) == [peer.Connect(C)]
    world.register(C, epoch=2)
    assert world.core.phase is Phase.REGISTERED


def test_standbys_cannot_make_it_try_addresses_without_end() -> None:
    world = World()
    world.open()
    for number in range(100):
        request = world.sent(m.RegisterApplication)[-1].request
        world.say(m.Failed(request=request, reason="", code="not-leader", leader=f"h{number}:1"))
        world.say(m.Failed(request=request, reason="", code="not-leader", leader="no address; rm -rf"))
        world.core.tick(world.now + 0.0)
        world.now += 2.0
        world.core.tick(world.now)
        world._take()
        if world.core.phase is Phase.OVER:
            break
    assert len({effect.address for effect in world.take(peer.Connect)}) <= 16


def test_a_refused_key_ends_it_at_once_if_no_other_master_may_help() -> None:
    world = World(A, B)
    world.close(A, "your key is not admitted", denied=True)
    assert not world.take(peer.GaveUp)
    world.close(B, "your key is not admitted", denied=True)
    reason = "a:7077: your key is not admitted; b:7077: your key is not admitted"
    assert world.take(peer.GaveUp) == [peer.GaveUp("not-authorized", reason)]


def test_a_refusal_is_final() -> None:
    world = World()
    world.open()
    (message,) = world.sent(m.RegisterApplication)
    world.say(m.Failed(request=message.request, reason="too many applications"))
    assert world.take(peer.GaveUp) == [peer.GaveUp("refused", "too many applications")]


def test_ended_with_a_broken_connection_before_it_knew_its_id_it_starts_afresh() -> None:
    world = World()
    world.open()
    (first,) = world.sent(m.RegisterApplication)
    world.say(m.ApplicationRemoved(app_id=ID, state=ApplicationState.FAILED, reason="its process has exited"))
    assert not world.take(ev.Removed)
    world.advance(0.1)
    (second,) = world.sent(m.RegisterApplication)
    assert second.token != first.token


@pytest.mark.parametrize("request_offset", [1, -1, 1000])
def test_an_answer_nobody_asked_for_is_ignored(request_offset: int) -> None:
    world = World()
    world.open()
    (message,) = world.sent(m.RegisterApplication)
    world.say(registered(message.request + request_offset))
    assert world.core.phase is Phase.REGISTERING and len(world.take(peer.Note)) == 1


@pytest.mark.parametrize("app_id", ["", "app", "../../etc", "driver-20260101000000-0001"])
def test_a_master_that_gives_an_impossible_id_is_left(app_id: str) -> None:
    world = World()
    world.open()
    (message,) = world.sent(m.RegisterApplication)
    world.say(registered(message.request, app_id=app_id))
    assert world.core.app_id == "" and world.take(peer.Disconnect) == [peer.Disconnect(A)]


# --- alive -----------------------------------------------------------------------------------------------------------


def test_heartbeats_at_the_interval_the_master_gave(world: World) -> None:
    world.advance(45.0)
    assert world.sent(m.ApplicationHeartbeat) == [m.ApplicationHeartbeat(app_id=ID)] * 3


@pytest.mark.parametrize("interval", [float("nan"), float("inf"), -1.0, 0.0, 1e9])
def test_no_interval_of_a_master_makes_it_spin_or_fall_silent(interval: float) -> None:
    world = World()
    world.open()
    (message,) = world.sent(m.RegisterApplication)
    world.say(registered(message.request, beat=interval))
    world.advance(400.0)
    assert 1 <= len(world.sent(m.ApplicationHeartbeat)) <= 8001


def test_executors_are_announced_once_each(world: World) -> None:
    world.say(added(0))
    world.say(added(0))
    world.say(updated(0, ExecutorState.RUNNING))
    world.say(updated(0, ExecutorState.RUNNING))
    world.say(updated(0, ExecutorState.LAUNCHING))
    world.say(updated(0, ExecutorState.EXITED, Exit(code=3)))
    world.say(updated(0, ExecutorState.EXITED, Exit(code=3)))
    world.say(updated(0, ExecutorState.RUNNING))
    world.say(added(0))
    assert [executor.executor.id for executor in world.take(ev.ExecutorGranted)] == [0]
    changes = world.take(ev.ExecutorChanged)
    assert [change.executor.state for change in changes] == [ExecutorState.RUNNING, ExecutorState.EXITED]
    assert changes[1].executor.exit == Exit(code=3)
    world.nothing_left()


def test_a_lost_executor_may_come_back_with_its_worker(world: World) -> None:
    world.say(added(4))
    world.say(updated(4, ExecutorState.LOST))
    world.say(added(4))
    world.say(updated(4, ExecutorState.RUNNING))
    assert [executor.state for executor in world.core.executors.all()] == [ExecutorState.RUNNING]
    assert len(world.take(ev.ExecutorGranted)) == 2


def test_executors_of_other_applications_are_none_of_ours(world: World) -> None:
    world.say(added(0, "app-20260101000000-0002"))
    world.say(updated(0, ExecutorState.FAILED, app_id="app-20260101000000-0002"))
    world.say(updated(7, ExecutorState.FAILED))
    assert world.core.executors.all() == ()
    assert len(world.take(peer.Note)) == 2
    world.nothing_left()


def test_finished_executors_are_not_kept_without_bound() -> None:
    table = ExecutorTable()
    for number in range(RETAINED_FINISHED + 50):
        table.add(added(number))  # type: ignore[arg-type]
        table.update(updated(number, ExecutorState.EXITED, Exit(code=0)))  # type: ignore[arg-type]
    assert len(table.all()) == RETAINED_FINISHED and table.highest_id == RETAINED_FINISHED + 49


# --- a master that becomes unreachable and comes back -----------------------------------------------------------------


def test_a_lost_master_is_looked_for_for_ever_and_registered_with_again(world: World) -> None:
    world.say(added(5))
    world.effects.clear()
    world.close(reason="connection closed")
    assert world.take(ev.Disconnected) == [ev.Disconnected("connection closed")]
    for _ in range(200):
        world.advance(2.0)
        if world.take(peer.Connect):
            world.close()
    assert world.core.phase is Phase.RECONNECTING and world.now > 400
    world.advance(2.0)
    world.open()
    (message,) = world.sent(m.RegisterApplication)
    assert (message.app_id, message.token, message.highest_executor_id) == (ID, "t0ken", 5)
    world.say(registered(message.request, epoch=2))
    assert world.take(ev.Registered) == [ev.Registered(ID, "spark://a:7077", again=True)]


def test_executors_the_new_master_does_not_know_are_lost_after_a_while(world: World) -> None:
    for number in range(3):
        world.say(added(number))
        world.say(updated(number, ExecutorState.RUNNING))
    world.close()
    world.advance(0.1)
    world.effects.clear()
    world.register(epoch=2)
    world.effects.clear()
    world.say(added(0))
    world.say(updated(1, ExecutorState.EXITED, Exit(code=0)))
    world.take(ev.ExecutorChanged)
    world.advance(RECLAIM_TIMEOUT + 0.1)
    (lost,) = world.take(ev.ExecutorChanged)
    assert (lost.executor.id, lost.executor.state) == (2, ExecutorState.LOST)
    states = [executor.state for executor in world.core.executors.all()]
    assert states == [ExecutorState.RUNNING, ExecutorState.EXITED, ExecutorState.LOST]


def test_a_deposed_master_is_not_believed(world: World) -> None:
    world.close()
    world.advance(0.1)
    world.register(epoch=0)
    assert world.core.phase is Phase.RECONNECTING
    assert world.take(peer.Disconnect) == [peer.Disconnect(A)]


def test_it_moves_to_a_leader_of_a_higher_epoch_while_the_old_one_looks_alive() -> None:
    world = World(A, B)
    world.register(A, epoch=1)
    world.open(B)
    request = world.sent(m.RegisterApplication, B)[-1].request
    world.say(m.Failed(request=request, reason="standby", code="not-leader"), B)
    world.advance(16.0)
    probe = world.sent(m.RegisterApplication, B)[-1]
    assert probe.app_id == ID
    world.effects.clear()
    world.say(registered(probe.request, epoch=2, address=B), B)
    assert world.take(ev.Registered) == [ev.Registered(ID, "spark://b:7077", again=True)]
    assert world.take(peer.Disconnect) == [peer.Disconnect(A)]
    world.say(added(0), A)
    assert world.core.executors.all() == ()


def test_a_standby_that_comes_to_lead_says_so_and_is_registered_with() -> None:
    world = World(A, B)
    world.register(A, epoch=3)
    world.open(B)
    request = world.sent(m.RegisterApplication, B)[-1].request
    world.say(m.Failed(request=request, reason="standby", code="not-leader"), B)
    world.effects.clear()
    world.say(m.Reconnect(epoch=2), B)
    assert world.sent(m.RegisterApplication, B) == [], "a deposed one is not believed"
    world.say(m.Reconnect(epoch=4), B)
    again = world.sent(m.RegisterApplication, B)[-1]
    assert again.app_id == ID
    world.say(registered(again.request, epoch=4, address=B), B)
    assert world.core.epoch == 4 and world.take(peer.Disconnect) == [peer.Disconnect(A)]


def test_masters_are_learned_from_the_leader_and_forgotten_when_they_are_gone() -> None:
    world = World(A)
    world.register(A)
    world.take(peer.Connect)
    world.say(m.MastersChanged(epoch=1, masters=(A, B)))
    world.advance(0)
    assert world.take(peer.Connect) == [peer.Connect(B)]
    world.close(B)
    world.say(m.MastersChanged(epoch=1, masters=(C,)), C)
    world.say(m.MastersChanged(epoch=1, masters=(A,)))
    world.advance(30)
    assert world.take(peer.Connect) == [], "it was not of the list this application was started with"


def test_when_the_leader_is_gone_the_standby_is_asked_at_once() -> None:
    world = World(A, B)
    world.register(A, epoch=1)
    world.open(B)
    request = world.sent(m.RegisterApplication, B)[-1].request
    world.say(m.Failed(request=request, reason="standby", code="not-leader"), B)
    world.close(A)
    world.advance(0.0)
    assert len(world.sent(m.RegisterApplication, B)) == 1


def test_of_two_masters_that_both_took_it_the_second_is_left() -> None:
    world = World(A, B)
    world.open(A)
    world.open(B)
    sends = world.take(peer.Send)
    world.say(registered(sends[0].message.request), A)
    world.say(registered(sends[1].message.request, app_id="app-20260101000000-0009"), B)
    assert world.core.app_id == ID
    assert world.take(peer.Disconnect) == [peer.Disconnect(B)]  # which ends the double there


# --- questions -------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_once_and_only_by_the_leader(world: World) -> None:
    number = ask(world, m.GetStatus(request=0))
    assert world.sent(m.GetStatus) == [m.GetStatus(request=number)]
    world.say(m.Accepted(request=number + 5))
    world.say(m.Accepted(request=number, text="yes"))
    world.say(m.Accepted(request=number, text="again"))
    assert world.take(peer.Answered) == [peer.Answered(number, m.Accepted(request=number, text="yes"))]
    assert len(world.take(peer.Note)) == 2


def test_a_question_survives_a_fail_over(world: World) -> None:
    number = ask(world, m.GetStatus(request=0))
    world.sent(m.GetStatus)
    world.close()
    other = ask(world, m.RequestExecutors(request=0, app_id=ID, executor_limit=3))
    world.advance(0.1)
    world.open()
    sends = world.sent(m.RegisterApplication)
    assert sends[0].app.executor_limit == 3  # a master without records learns it from here
    world.say(registered(sends[0].request, epoch=2))
    resent = [send.message.request for send in world.take(peer.Send)]
    assert resent == [number, other]


def test_a_leader_that_steps_down_is_left_and_the_question_kept(world: World) -> None:
    number = ask(world, m.GetStatus(request=0))
    world.sent(m.GetStatus)
    world.say(m.Failed(request=number, reason="", code="not-leader"))
    assert world.core.phase is Phase.RECONNECTING and not world.take(peer.Answered)
    world.advance(0.1)
    (message,) = world.sent(m.RegisterApplication)
    world.say(registered(message.request, epoch=2))
    assert len(world.sent(m.GetStatus)) == 1


def test_a_forgotten_question_is_not_repeated(world: World) -> None:
    number = ask(world, m.GetStatus(request=0))
    world.core.forget(number)
    world.sent(m.GetStatus)
    world.say(m.Accepted(request=number))
    assert not world.take(peer.Answered)
