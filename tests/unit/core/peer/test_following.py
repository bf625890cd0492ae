"""Links to every master, and to one on demand: what workers and applications have in common."""

from __future__ import annotations

import random

import pytest

from stoker.core.model import messages as m
from stoker.core.peer import events as peer
from stoker.core.peer.following import Following, Keep
from stoker.core.peer.masters import BACKOFF_CAP, BACKOFF_FIRST, NEVER, Master

A, B, C = "a:7077", "b:7077", "c:7077"
INTERVAL = 15.0


class Peer:
    """A machine that writes down what ``Following`` asks it for."""

    def __init__(self, *masters: str, keep: Keep = Keep.ALL) -> None:
        self.now = 100.0
        self.introduced: list[str] = []
        self.beats = 0
        self.losses: list[str] = []
        self.effects: list[peer.PeerEffect] = []
        self.following = Following(masters, random.Random(1), self, self.effects.append, keep=keep)
        self.following.tick(self.now)

    def introduce(self, master: Master, now: float) -> None:
        self.introduced.append(master.address)

    def lost(self, master: Master, reason: str) -> None:
        assert self.following.leader is None
        self.losses.append(f"{master.address}: {reason}")

    def beat(self) -> None:
        self.beats += 1

    def gave_up(self) -> None:
        raise AssertionError("it has all the patience")

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.following.next_deadline()) <= end:
            self.now = max(self.now, deadline)
            self.following.tick(self.now)
        self.now = end

    def lead(self, address: str) -> Master:
        master = self.following.masters.get(address)
        assert master is not None
        self.following.opened(address, self.now)
        self.following.follow(master, INTERVAL, self.now)
        self.following.served(master, self.now)
        self.introduced.clear()
        self.effects.clear()
        return master

    def not_leader(self, address: str, leader: str = "") -> None:
        master = self.following.masters.get(address)
        assert master is not None
        self.following.not_leader(
            master, m.Failed(request=0, reason="STANDBY", code="not-leader", leader=leader), self.now
        )

    def dialled(self) -> list[str]:
        found = [effect.address for effect in self.effects if isinstance(effect, peer.Connect)]
        self.effects.clear()
        return found


def test_every_master_is_linked_at_once_and_again_when_its_link_is_lost() -> None:
    world = Peer(A, B)
    assert world.dialled() == [A, B]
    world.lead(A)
    world.following.closed(B, "gone", world.now)
    world.advance(BACKOFF_FIRST)
    assert world.dialled() == [B]
    assert world.losses == []


def test_with_a_leader_a_standby_is_asked_once_an_interval_without_one_soon() -> None:
    world = Peer(A, B)
    world.lead(A)
    world.following.opened(B, world.now)
    assert world.introduced == [B]
    world.not_leader(B, leader=A)
    world.advance(INTERVAL - 1)
    assert world.introduced == [B]
    world.advance(1)
    assert world.introduced == [B, B]
    world.not_leader(B, leader=A)
    world.following.closed(A, "gone", world.now)
    world.following.tick(world.now)
    assert world.introduced == [B, B, B]
    world.not_leader(B)
    world.advance(2 * BACKOFF_CAP)
    assert len(world.introduced) >= 4


def test_heartbeats_go_out_at_the_interval_while_there_is_a_leader() -> None:
    world = Peer(A)
    world.lead(A)
    world.advance(3 * INTERVAL + 1)
    assert world.beats == 3
    world.following.closed(A, "gone", world.now)
    assert world.losses == [f"{A}: gone"]
    world.advance(3 * INTERVAL)
    assert world.beats == 3


def test_questions_go_to_the_new_leader_while_the_old_one_still_looks_alive() -> None:
    world = Peer(A, B)
    world.lead(A)
    world.following.ask(m.GetStatus(request=0), world.now)
    once = world.following.ask(m.GetStatus(request=0), world.now, repeat=False)
    world.lead(B)
    world.following.send_requests(world.now)
    assert world.effects == [peer.Send(B, m.GetStatus(request=1))]
    assert once.number == 2


def test_on_demand_no_link_is_made_while_nothing_is_asked() -> None:
    world = Peer(A, keep=Keep.ON_DEMAND)
    world.advance(1000)
    assert world.dialled() == []
    world.following.ask(m.GetStatus(request=0), world.now)
    world.advance(0)
    assert world.dialled() == [A]


def test_closed_it_does_nothing_more() -> None:
    world = Peer(A, B)
    world.lead(A)
    world.following.close()
    assert world.effects == [peer.Disconnect(A), peer.Disconnect(B)]
    assert world.following.next_deadline() == NEVER


@pytest.mark.parametrize("address", ["no address; rm -rf", "", "h:123456", "[::1]"])
def test_what_is_not_an_address_is_not_tried(address: str) -> None:
    world = Peer(A)
    world.following.opened(A, world.now)
    world.effects.clear()
    world.not_leader(A, leader=address)
    world.advance(0)
    assert world.dialled() == []


def test_when_the_leader_is_lost_a_master_that_could_not_be_reached_is_tried_at_once() -> None:
    world = Peer(A, B)
    world.lead(A)
    for _ in range(10):
        world.following.closed(B, "connection refused", world.now)
        world.advance(BACKOFF_CAP)
    world.following.closed(B, "connection refused", world.now)
    world.effects.clear()
    world.following.closed(A, "gone", world.now)
    world.following.tick(world.now)
    assert world.dialled() == [B]
