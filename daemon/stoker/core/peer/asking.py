"""A client's side of the conversation with the masters: it registers nowhere, and asks whichever master leads.

Link events and the time go in, effects come out of ``take_effects``; the shell is ``client.session``. An open question is
asked again of the next leader, so it must not matter how often it is asked (a submission carries a token).
"""

from __future__ import annotations

from stoker.core.model.messages import Failed, Message
from stoker.core.model.values import Rng
from stoker.core.peer.events import (
    Answered,
    GaveUp,
    LinkClosed,
    LinkEvent,
    LinkMessage,
    LinkOpened,
    Note,
    Notice,
    PeerEffect,
)
from stoker.core.peer.following import Following, Keep
from stoker.core.peer.masters import NEVER, Master
from stoker.core.peer.requests import Request

ANSWER_WITHIN = 10.0  # seconds of silence after a prompt question until a master counts as not responding
SAY_AFTER = 2.0  # seconds without a master until the user is told what we wait for
BACKOFF_CAP = 1.0  # seconds: somebody waits

AskingEffect = PeerEffect | Answered | GaveUp | Notice | Note


class Asking:
    """``timeout`` is for how many seconds there may be no serving master until ``GaveUp``; after that, the time starts
    again."""

    def __init__(
        self,
        masters: tuple[str, ...],
        rng: Rng,
        *,
        timeout: float,
        answer_within: float = ANSWER_WITHIN,
        say_after: float = SAY_AFTER,
    ) -> None:
        self._effects: list[AskingEffect] = []
        self._following = Following(
            masters,
            rng,
            self,
            self._effects.append,
            keep=Keep.ONE,
            patience=timeout,
            silence=answer_within,
            cap=BACKOFF_CAP,
        )
        self._say_after = say_after
        self._said_since: float | None = None  # the ``down_since`` of which the user was told

    @property
    def timeout(self) -> float:
        return self._following.patience

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._following.patience = seconds

    @property
    def master(self) -> str:
        """HOST:PORT of the master in use; empty if there is none."""
        leader = self._following.leader
        return leader.address if leader is not None else ""

    # --- questions ----------------------------------------------------------------------------------------------------

    def ask(self, message: Message, now: float, *, repeat: bool = True, prompt: bool = True) -> Request:
        """Ask the leader. ``Answered`` follows for each answer until the request is forgotten; a question that is not
        repeated may end with ``Lost``."""
        return self._following.ask(message, now, repeat=repeat, prompt=prompt)

    def replace(self, number: int, message: Message) -> None:
        """Set the question for the next leader."""
        self._following.requests.replace(number, message)

    def forget(self, number: int) -> None:
        """Ignore further answers, and do not ask again."""
        self._following.requests.forget(number)

    # --- events -------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float:
        """When ``tick`` has something to do, at the latest."""
        return min(self._following.next_deadline(), self._say_at)

    def tick(self, now: float) -> None:
        following = self._following
        following.tick(now)
        if self._say_at <= now:
            since = self._said_since = following.down_since
            assert since is not None
            left = since + following.patience - now
            text = f"looking for a master: {following.masters.complaints()}; giving up in {left:.0f} s"
            self._effects.append(Notice(text))

    @property
    def _say_at(self) -> float:
        since = self._following.down_since
        return NEVER if since is None or since == self._said_since else since + self._say_after

    def handle(self, event: LinkEvent, now: float) -> None:
        if isinstance(event, LinkOpened):
            self._following.opened(event.address, now)
        elif isinstance(event, LinkClosed):
            self._following.closed(event.address, event.reason, now, denied=event.denied)
        else:
            self._on_message(event, now)

    def _on_message(self, event: LinkMessage, now: float) -> None:
        following, message = self._following, event.message
        leader = following.leader
        request = following.answered(message, now) if leader is not None and leader.address == event.address else None
        if leader is None or request is None:
            self._effects.append(Note(f"{event.address}: {type(message).__name__} ignored: nobody asked for it"))
        elif isinstance(message, Failed) and message.code == "not-leader":
            following.not_leader(leader, message, now)
        else:
            following.served(leader, now)
            if self._said_since is not None:
                self._said_since = None
                self._effects.append(Notice(f"connected to master {leader.address}"))
            self._effects.append(Answered(request.number, message))

    def take_effects(self) -> list[AskingEffect]:
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    # --- what ``Following`` asks for ----------------------------------------------------------------------------------

    def introduce(self, master: Master, now: float) -> None:
        if self._following.leader is None:
            self._following.follow(master, NEVER, now)
            self._following.send_requests(now)

    def lost(self, master: Master, reason: str) -> None:
        pass

    def beat(self) -> None:
        pass

    def gave_up(self) -> None:
        masters = self._following.masters
        if masters.any_denied:
            self._effects.append(GaveUp("not-authorized", masters.complaints()))
        else:
            self._effects.append(GaveUp("unreachable", masters.complaints()))
