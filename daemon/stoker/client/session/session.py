"""A client's connection to whichever master leads: requests, answers, fail-over. One thread, no sleeps.

Requests are sent at once and answered in any order; those without an answer are sent again to the next leader, which is
safe because all of them are repeatable (a submission carries a token). Work happens in ``pump``, in the caller's thread.
"""

from __future__ import annotations

import itertools
import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import msgspec
import zmq

from stoker.client.session.asker import Exchange, Then
from stoker.client.session.dial import Complaint, Dialer
from stoker.config.types import parse_master_url
from stoker.core.model.messages import Failed, Message, ToClient
from stoker.core.model.states import Role
from stoker.errors import NotAuthorized, NotFound, Refused, StokerError, Unreachable
from stoker.io.link import Closed, Link, Opened
from stoker.security.keys import Keys

TIMEOUT = 20.0  # seconds without a leading master until we give up (spec 9.4)
ANSWER_WITHIN = 10.0  # seconds of silence after a question until a connected master counts as not responding
SAY_AFTER = 2.0  # seconds without a master until the user is told what we wait for

log = logging.getLogger(__name__)


class Session:
    """Use it as a context manager. ``masters`` is a ``spark://`` URL or HOST:PORT addresses, ``keys`` this machine's
    (None: without authentication), ``timeout`` how long (seconds) there may be no leading master; it may be changed at any
    time. ``notice`` is given a line when that begins to take long.

    Raises UsageError for a malformed URL. Not thread-safe.
    """

    def __init__(
        self,
        masters: str | Sequence[str],
        *,
        keys: Keys | None,
        role: Role = Role.CLIENT,
        name: str = "client",
        timeout: float = TIMEOUT,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        addresses = parse_master_url(masters) if isinstance(masters, str) else tuple(masters)
        self.timeout = timeout
        self._notice = notice
        self._context: zmq.Context[Any] = zmq.Context(io_threads=1)
        rng = random.Random()  # noqa: S311 - spreads reconnections, guards nothing
        self._dialer = Dialer(self._context, addresses, keys=keys, role=role, name=name, rng=rng)
        self._link: Link[ToClient] | None = None
        self._poller = zmq.Poller()
        self._numbers = itertools.count(1)
        self._exchanges: dict[int, Exchange] = {}
        self._owed: set[int] = set()  # prompt questions that the master in use has not answered yet
        self._heard = 0.0  # when it last answered, or was asked after owing nothing
        self._down_since: float | None = None  # since when no master has served us
        self._said = False

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection and what is under way. A second call does nothing."""
        self._exchanges.clear()
        self._dialer.close()
        if self._link is not None:
            self._link.close()
            self._link = None
        self._context.term()

    @property
    def master(self) -> str:
        """HOST:PORT of the master in use; empty when there is none at the moment."""
        return self._link.address if self._link is not None else ""

    # --- asking ------------------------------------------------------------------------------------------------------

    def call(self, message: Message) -> Message:
        """Ask and wait for the answer. ``message.request`` is filled in here.

        Raises Unreachable (naming every master tried), NotAuthorized, NotFound or Refused (in the cluster's words).
        """
        answers: list[Message] = []

        def handle(answer: Message) -> bool:
            answers.append(answer)
            return True

        exchange = self.ask(message, handle)
        try:
            while not answers:
                self.pump()
        finally:
            self.forget(exchange)
        return self.checked(answers[0])

    def ask(
        self, question: Message, then: Then, *, on_lost: Callable[[], None] | None = None, prompt: bool = True
    ) -> Exchange:
        """Ask without waiting: the answers come to ``then`` from within ``pump``. Raises ProtocolError if oversized."""
        exchange = Exchange(question, then, on_lost, prompt, next(self._numbers))
        self._exchanges[exchange.number] = exchange
        if self._link is not None:
            try:
                self._send(exchange)
            except StokerError:
                self.forget(exchange)
                raise
        return exchange

    start = ask

    def forget(self, exchange: Exchange) -> None:
        """Its further answers are of no interest."""
        self._exchanges.pop(exchange.number, None)
        self._owed.discard(exchange.number)

    def checked(self, answer: Message) -> Message:
        """The answer, unless it is a refusal. Raises NotAuthorized, NotFound or Refused."""
        if not isinstance(answer, Failed):
            return answer
        if answer.code == "not-authorized":
            raise NotAuthorized(answer.reason)
        raise (NotFound if answer.code == "not-found" else Refused)(answer.reason)

    # --- the work ----------------------------------------------------------------------------------------------------

    def pump(self, timeout: float | None = None) -> None:
        """Wait until something comes, at most ``timeout`` seconds, and hand it on. Reconnects by itself.

        Raises Unreachable when there has been no leading master for ``self.timeout`` seconds, and NotAuthorized as soon as
        all masters have refused our key.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        if self._link is None and not self._connect(end):
            return
        assert self._link is not None
        link = self._link
        if self._poller.poll(_milliseconds(min(end, self._answer_due()))):
            for item in link.drain():
                if self._link is not link:  # given up: what it did not get to say is asked again elsewhere
                    break
                self._take(item)
        elif time.monotonic() >= self._answer_due():
            self._lose(Complaint(f"master {self.master} is connected but does not answer"), last=self.master)

    def wait(self, done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Pump until ``done()``; False when it is not after ``timeout`` seconds."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not done():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.pump(None if math.isinf(left) else left)
        return True

    def connect(self) -> None:
        """Be connected (to a master, not necessarily the leader). Raises as ``pump`` does."""
        while self._link is None:
            self._connect(math.inf)

    def _connect(self, end: float) -> bool:
        now = time.monotonic()
        if self._down_since is None:
            self._down_since, self._said = now, False
        while self._link is None:
            give_up = self._down_since + self.timeout
            say_at = math.inf if self._said or self._notice is None else self._down_since + SAY_AFTER
            link = self._dialer.dial(min(end, give_up, say_at))
            now = time.monotonic()
            if link is not None:
                self._use(link)
            elif self._dialer.is_denied or now >= give_up:
                raise self._failure()
            elif now >= end:
                return False
            elif now >= say_at:
                self._say(f"looking for a master: {self._tried()}; giving up in {give_up - now:.0f} s")
        return True

    def _use(self, link: Link[ToClient]) -> None:
        self._link = link
        self._poller = zmq.Poller()
        for source in link.sources():
            self._poller.register(source, zmq.POLLIN)
        self._heard = time.monotonic()
        for exchange in list(self._exchanges.values()):
            if self._link is None:  # lost while sending
                return
            self._send(exchange)

    def _send(self, exchange: Exchange) -> None:
        assert self._link is not None
        if exchange.prompt:
            if not self._owed:
                self._heard = time.monotonic()
            self._owed.add(exchange.number)
        if not self._link.send(msgspec.structs.replace(exchange.message, request=exchange.number)):
            self._lose(Complaint(f"master {self.master} does not take our messages"), last=self.master)

    def _take(self, item: Opened | Closed | ToClient) -> None:
        if isinstance(item, Opened):
            return
        if isinstance(item, Closed):
            self._lose(Complaint(item.reason, item.denied), first=self.master)
            return
        number = getattr(item, "request", None)
        exchange = self._exchanges.get(number) if isinstance(number, int) else None
        if exchange is None:
            log.debug("an answer nobody waits for: %s", type(item).__name__)
            return
        self._heard = time.monotonic()
        if isinstance(item, Failed) and item.code == "not-leader":
            self._lose(Complaint(item.reason), first=item.leader, last=self.master)
            return
        self._owed.discard(exchange.number)
        if self._down_since is not None:
            self._back()
        if exchange.then(item):
            self.forget(exchange)

    def _back(self) -> None:
        self._down_since = None
        self._dialer.succeeded()
        if self._said:
            self._say(f"connected to master {self.master}")

    def _lose(self, complaint: Complaint, *, first: str = "", last: str = "") -> None:
        """This link is over; unanswered questions wait for the next one."""
        assert self._link is not None
        self._dialer.complaints[self._link.address] = complaint
        self._link.close()
        self._link = None
        self._owed.clear()
        self._dialer.restart(first=first, last=last)
        if self._down_since is None:
            self._down_since, self._said = time.monotonic(), False
        for exchange in [known for known in self._exchanges.values() if known.on_lost is not None]:
            self.forget(exchange)
            assert exchange.on_lost is not None
            exchange.on_lost()

    def _answer_due(self) -> float:
        """When the master in use counts as not responding (``time.monotonic()`` seconds)."""
        return self._heard + ANSWER_WITHIN if self._owed else math.inf

    # --- words -------------------------------------------------------------------------------------------------------

    def _say(self, line: str) -> None:
        self._said = True
        if self._notice is not None:
            self._notice(line)

    def _tried(self) -> str:
        reasons = [complaint.reason for complaint in self._dialer.complaints.values()]
        return "; ".join(dict.fromkeys(reasons)) or "no answer yet"

    def _failure(self) -> StokerError:
        if any(complaint.denied for complaint in self._dialer.complaints.values()):
            return NotAuthorized(self._tried())
        return Unreachable(
            f"no master answers: {self._tried()} (tried for {self.timeout:g} s; see --master, --timeout)"
        )


def _milliseconds(deadline: float) -> int | None:
    if math.isinf(deadline):
        return None
    # Rounded up: waking a fraction of a millisecond early would spin until the deadline.
    return max(0, math.ceil((deadline - time.monotonic()) * 1000))
