"""Following the leader: which masters a peer is linked to, which of them leads, and what it is asked. Pure.

Workers, applications and clients have the same conversation with the masters; they differ in what they say on a link that
has just opened. So ``Following`` keeps the links, and a ``Machine`` above it introduces itself: a worker or an application
registers, a client just asks. The machine decides who leads, and calls ``follow`` and ``not_leader``.

Links are kept to every master (``Keep.ALL``: a standby that comes to lead says so on its link), or to one. For that one the
addresses are tried in turn, and the next one already while a slow one has not answered (RFC 8305), so that a master that is
switched off costs a quarter of a second, not a time-out.

Times are ``time.monotonic`` seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from stoker.core.model.messages import Failed, Message
from stoker.core.model.values import Rng
from stoker.core.peer.events import Connect, Disconnect, Lost, PeerEffect, Send
from stoker.core.peer.masters import BACKOFF_CAP, CONNECT_TIMEOUT, NEVER, LinkState, Master, Masters
from stoker.core.peer.requests import Request, Requests

STAGGER = 0.25  # until the next address is tried beside the one before


class Keep(Enum):
    """Which links are kept."""

    ALL = "to every master"
    ONE = "to one master"
    ON_DEMAND = "to one master, while a question is open"


class Machine(Protocol):
    """The state machine above ``Following``. These methods may call every method of ``Following``."""

    def introduce(self, master: Master, now: float) -> None:
        """The link to this master is open and it is not the leader in use: register, or follow it. It is called again
        when ``master.due`` comes, which is never unless the machine sets it."""

    def lost(self, master: Master, reason: str) -> None:
        """``master`` no longer leads, or its link is lost. There is no leader now."""

    def beat(self) -> None:
        """Send the leader a heartbeat."""

    def gave_up(self) -> None:
        """No master has served this peer for ``patience``, or all have denied it. The time starts again afterwards."""


class Following:
    """``emit`` takes the effects. ``patience`` is for how many seconds there may be no serving master (it may be
    changed at any time), ``silence`` how long the leader may leave a prompt question unanswered, ``cap`` the longest
    pause between two tries of one address."""

    def __init__(
        self,
        addresses: tuple[str, ...],
        rng: Rng,
        machine: Machine,
        emit: Callable[[PeerEffect], None],
        *,
        keep: Keep = Keep.ALL,
        patience: float = NEVER,
        silence: float = NEVER,
        cap: float = BACKOFF_CAP,
    ) -> None:
        self.masters: Masters = Masters(addresses, rng, cap=cap)
        self.leader: Master | None = None
        self.requests: Requests = Requests()
        self.keep = keep
        self.patience = patience
        self.down_since: float | None = None  # since when no master serves us; None: one does, or time has not begun
        self._machine = machine
        self._silence = silence
        self._is_served = False
        self._next_start = 0.0  # not before, the next address is tried beside those under way
        self._interval = 15.0  # between two heartbeats
        self._beat_at = NEVER
        self._heard_at = 0.0  # when the leader answered last, or was asked after it owed nothing
        self._emit = emit
        self._now = 0.0

    # --- time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float:
        """When ``tick`` has something to do, at the latest."""
        deadlines = [self._beat_at, self._silent_at, self._gives_up_at]
        for master in self.masters:
            if master.link is not LinkState.WAITING:
                deadlines.append(master.due)
            elif self._wants_links:
                deadlines.append(max(master.due, self._next_start))
        return min(deadlines)

    def tick(self, now: float) -> None:
        self._now = now
        if not self._is_served and self.down_since is None:
            self.down_since = now
        for master in self.masters:
            if master.due <= now:
                self._attend(master)
        if self._silent_at <= now and (leader := self.leader) is not None:
            self.drop(leader, f"master {leader.address} is connected but does not answer", now)
            self.masters.defer(leader)
        if self._beat_at <= now:
            self._beat_at = now + self._interval
            self._machine.beat()
        if self._gives_up_at <= now:
            self._give_up()

    def _attend(self, master: Master) -> None:
        if master.link is LinkState.CONNECTING:
            self.drop(master, f"no answer in {CONNECT_TIMEOUT:g} s", self._now)
        elif master.link is LinkState.OPEN:
            self._introduce(master)
        elif self._wants_links and self._next_start <= self._now:
            self._connect(master)

    def _introduce(self, master: Master) -> None:
        master.due = NEVER
        if master is not self.leader:
            self._machine.introduce(master, self._now)

    def _connect(self, master: Master) -> None:
        master.link, master.due = LinkState.CONNECTING, self._now + CONNECT_TIMEOUT
        if self.keep is not Keep.ALL:
            self._next_start = self._now + STAGGER
        self._emit(Connect(master.address))

    @property
    def _wants_links(self) -> bool:
        if self.keep is Keep.ALL:
            return True
        return self.leader is None and (self.keep is Keep.ONE or bool(self.requests))

    @property
    def _silent_at(self) -> float:
        return self._heard_at + self._silence if self.requests.is_owed else NEVER

    @property
    def _gives_up_at(self) -> float:
        return NEVER if self.down_since is None else self.down_since + self.patience

    def _give_up(self) -> None:
        self.down_since = None
        self._machine.gave_up()

    # --- links --------------------------------------------------------------------------------------------------------

    def opened(self, address: str, now: float) -> None:
        self._now = now
        master = self.masters.get(address)
        if master is not None:
            master.link, master.denied, master.why = LinkState.OPEN, False, "connected, but it does not answer"
            self._introduce(master)

    def closed(self, address: str, reason: str, now: float, *, denied: bool = False) -> None:
        self._now = now
        master = self.masters.get(address)
        if master is None:
            return
        led = master is self.leader
        self._fail(master, reason, denied=denied)
        if led and self.keep is not Keep.ALL:  # perhaps the link only: try this master first, and the others after it
            self.masters.prefer(master)
            for other in self.masters:
                if other.link is LinkState.WAITING:
                    other.due = max(other.due, master.due)

    def drop(self, master: Master, why: str, now: float) -> None:
        """Close the link, and try again later."""
        self._now = now
        self._emit(Disconnect(master.address))
        self._fail(master, why)

    def close(self) -> None:
        """Close all links, for good. Questions that are open stay so."""
        for master in self.masters:
            if master.link is not LinkState.WAITING:
                self._emit(Disconnect(master.address))
            master.link, master.due = LinkState.WAITING, NEVER
        self.leader, self.down_since, self._is_served = None, None, True
        self._beat_at = NEVER

    def _fail(self, master: Master, why: str, *, denied: bool = False) -> None:
        self._next_start = self._now  # the next address need not wait
        self.masters.failed(master, self._now, why, denied=denied)
        if master is self.leader:
            self._lose(why)
        if self.down_since is not None and self.patience < NEVER and self.masters.all_denied:
            self._give_up()

    # --- who leads ----------------------------------------------------------------------------------------------------

    def follow(self, master: Master, interval: float, now: float) -> None:
        """This master leads: send it what is open (``send_requests``), and a heartbeat every ``interval`` seconds."""
        self._now = now
        if self.leader is not None and self.leader is not master:
            self._lose_requests()
        self.leader = master
        master.due = NEVER
        master.registrations.clear()
        self._interval, self._beat_at = interval, self._now + interval
        self._heard_at = self._now

    def served(self, master: Master, now: float) -> None:
        """Note that the leader has answered or registered this peer: it really leads."""
        self._now = now
        master.failures, master.denied, master.why = 0, False, "connected"
        self._is_served, self.down_since = True, None
        if self.keep is Keep.ALL:
            return
        for other in self.masters:
            if other is not master and other.link is not LinkState.WAITING:
                self._emit(Disconnect(other.address))
                other.link, other.due = LinkState.WAITING, self._now

    def not_leader(self, master: Master, message: Failed, now: float) -> None:
        """Handle a master's answer that it does not lead; it may name the leader, and may lead later."""
        self._now = now
        why = message.reason or "not the leader"
        if self.keep is Keep.ALL:
            master.why = why
            if master is self.leader:
                self._lose(why)
            again = self.masters.next_try(master, self._now)
            # With a leader there is no hurry: a standby that comes to lead says so.
            master.due = again if self.leader is None else self._now + self._interval
            self.masters.learn(message.leader, self._now)
            return
        self.drop(master, why, now)
        self.masters.defer(master)
        named = self.masters.learn(message.leader, self._now, named_by=master)
        if named is not None:
            self.masters.prefer(named)

    def _lose(self, reason: str) -> None:
        master, self.leader = self.leader, None
        assert master is not None
        self._beat_at = NEVER
        self._lose_requests()
        self._look_elsewhere(master)
        if self._is_served:
            self._is_served, self.down_since = False, self._now
        self._machine.lost(master, reason)

    def _look_elsewhere(self, lost: Master) -> None:
        """Try the others now: one may lead already. If ``lost`` did lead, also those that were unreachable."""
        for other in self.masters:
            opened = other.link is LinkState.OPEN and not other.registrations
            may_be_back = other.link is LinkState.WAITING and self._is_served and not other.denied
            if other is not lost and (opened or may_be_back):
                other.due = min(other.due, self._now)

    def _lose_requests(self) -> None:
        for number in self.requests.leader_lost():
            self._emit(Lost(number))

    # --- questions ----------------------------------------------------------------------------------------------------

    def ask(self, message: Message, now: float, *, repeat: bool = True, prompt: bool = True) -> Request:
        """Ask the leader, or the next one. A question that is repeated must not change the answer."""
        request = self.requests.add(message, repeat=repeat, prompt=prompt)
        self.send_requests(now)
        return request

    def send_requests(self, now: float) -> None:
        """Send the leader the questions it has not been sent."""
        if self.leader is None:
            return
        if not self.requests.is_owed:
            self._heard_at = now
        for message in self.requests.take_unsent():
            self.send(self.leader, message)

    def send(self, master: Master, message: Message) -> None:
        self._emit(Send(master.address, message))

    def answered(self, message: Message, now: float) -> Request | None:
        """Return the open question that this message of the leader answers."""
        request = self.requests.answered(message)
        if request is not None:
            self._heard_at = now
        return request
