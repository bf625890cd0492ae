"""``io.presence``: which peers are gone, from events out of step with messages, and from descriptors that are used again."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.io.presence import Presence

A, B = b"worker/a/1", b"worker/b/2"


def settle(presence: Presence) -> list[bytes]:
    presence.settle(presence.ending())
    return presence.take_gone()


def test_a_closed_connection_takes_its_peer() -> None:
    presence = Presence()
    presence.accepted(9)
    assert presence.heard(A, 9, 1)
    presence.closed(9)
    assert A in presence  # its messages may still be queued
    assert settle(presence) == [A]
    assert A not in presence
    assert settle(presence) == []


def test_a_connection_that_never_spoke_is_nobodys() -> None:
    presence = Presence()
    presence.accepted(9)
    presence.closed(9)
    assert settle(presence) == []


def test_messages_after_the_close_still_count_until_the_queue_was_empty() -> None:
    presence = Presence()
    presence.accepted(9)
    presence.closed(9)
    assert presence.heard(A, 9, 1)  # a brief visitor: everything of it came at once
    assert settle(presence) == [A]
    assert not presence.heard(A, 9, 1)


def test_a_descriptor_used_again_at_once_does_not_take_the_new_peer() -> None:
    presence = Presence()
    presence.accepted(9)
    assert presence.heard(A, 9, 1)
    presence.closed(9)
    presence.accepted(9)
    assert presence.heard(B, 9, 2)
    assert presence.heard(A, 9, 1)  # one of its last messages
    assert settle(presence) == [A]
    assert B in presence


def test_a_silent_newcomer_on_the_descriptor_does_not_keep_the_old_peer() -> None:
    presence = Presence()
    presence.accepted(9)
    assert presence.heard(A, 9, 1)
    presence.closed(9)
    presence.accepted(9)
    assert settle(presence) == [A]
    assert presence.heard(B, 9, 2)


def test_serials_tell_two_first_messages_of_one_descriptor_apart_in_either_order() -> None:
    for order in ((A, 1), (B, 2)), ((B, 2), (A, 1)):
        presence = Presence()
        presence.accepted(9)
        presence.closed(9)
        presence.accepted(9)
        for peer, serial in order:
            assert presence.heard(peer, 9, serial)
        assert settle(presence) == [A], order
        assert B in presence


def test_a_peer_taken_for_the_newest_is_given_up_when_the_true_owner_speaks() -> None:
    presence = Presence()
    presence.accepted(9)
    presence.closed(9)
    presence.accepted(9)
    assert presence.heard(A, 9, 1)  # of the first, but the second has not spoken
    assert settle(presence) == []
    assert presence.heard(B, 9, 2)
    assert presence.take_gone() == [A]
    assert not presence.heard(A, 9, 1)
    presence.closed(9)
    assert settle(presence) == [B]


def test_a_peer_that_shows_up_on_another_descriptor_has_moved() -> None:
    presence = Presence()
    presence.accepted(9)
    assert presence.heard(A, 9, 1)
    presence.accepted(10)
    assert presence.heard(A, 10, 2)
    presence.closed(9)
    assert settle(presence) == []
    presence.closed(10)
    assert settle(presence) == [A]


def test_accepting_on_an_open_descriptor_ends_what_was_there() -> None:
    presence = Presence()
    presence.accepted(9)
    assert presence.heard(A, 9, 1)
    presence.accepted(9)
    assert settle(presence) == [A]


def test_a_dropped_peer_is_unheard_until_it_has_a_new_connection() -> None:
    presence = Presence()
    presence.accepted(9)
    assert presence.heard(A, 9, 1)
    presence.drop(A)
    assert presence.take_gone() == [A]
    assert not presence.heard(A, 9, 1)
    presence.closed(9)
    assert settle(presence) == []
    presence.accepted(9)
    assert presence.heard(A, 9, 2)
    presence.drop(B)  # a stranger
    assert presence.take_gone() == []


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_random_histories(seed: int) -> None:
    """Against the truth, messages delivered in any order between pipes, events drained late: each goes once, none early."""
    History(random.Random(seed)).run()


class History:
    """A true history of connections on three descriptors, reported to a Presence as libzmq reports it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.presence = Presence()
        self.open: dict[int, tuple[bytes, int]] = {}  # descriptor -> who has it now
        self.events: list[tuple[str, int]] = []
        self.queues: dict[bytes, list[tuple[int, int]]] = {}
        self.spoke: set[bytes] = set()
        self.heard: set[bytes] = set()
        self.gone: list[bytes] = []
        self.serial = 0

    def run(self) -> None:
        for _ in range(60):
            self.rng.choice([self.connect, self.speak, self.speak, self.close, self.drain])()
        for fd in list(self.open):
            self.queues.setdefault(self.open[fd][0], []).append((fd, self.open[fd][1]))  # everybody left speaks
            self.spoke.add(self.open[fd][0])
        self.drain()
        self.drain()  # settles those whose end the first one learnt last
        living = {peer for peer, _ in self.open.values()}
        assert sorted(self.gone) == sorted(self.spoke - living)
        assert all(peer in self.presence for peer in living)
        assert self.heard == self.spoke

    def connect(self) -> None:
        free = [fd for fd in (5, 6, 7) if fd not in self.open]
        if free:
            self.serial += 1
            self.open[free[0]] = (b"worker/w/%d" % self.serial, self.serial)
            self.events.append(("accepted", free[0]))

    def speak(self) -> None:
        if self.open:
            fd = self.rng.choice(list(self.open))
            peer, serial = self.open[fd]
            self.queues.setdefault(peer, []).append((fd, serial))
            self.spoke.add(peer)

    def close(self) -> None:
        if self.open:
            fd = self.rng.choice(list(self.open))
            del self.open[fd]
            self.events.append(("closed", fd))

    def drain(self) -> None:
        """As Server.drain does it: events, messages of all pipes in any order, events, then the ended are settled."""
        self.tell_events(self.rng.randrange(len(self.events) + 1))
        ended = self.presence.ending()
        pipes = [peer for peer, queue in self.queues.items() for _ in queue]
        self.rng.shuffle(pipes)
        self.tell_events(len(self.events))
        for peer in pipes:
            fd, serial = self.queues[peer].pop(0)
            assert self.presence.heard(peer, fd, serial), peer
            assert peer not in self.gone
            self.heard.add(peer)
            self.gone += self.presence.take_gone()
        self.presence.settle(ended)
        self.gone += self.presence.take_gone()
        assert len(set(self.gone)) == len(self.gone)
        assert not {peer for peer, _ in self.open.values()} & set(self.gone)

    def tell_events(self, count: int) -> None:
        for kind, fd in self.events[:count]:
            getattr(self.presence, kind)(fd)
        del self.events[:count]
