"""A client's connection to whichever master leads: the shell around ``core.peer.asking``, pumped by the caller.

One thread: all work happens in ``pump``. What leads to which master, and what is asked again, the core decides.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import zmq

from stoker.client.session.asker import Exchange, Then
from stoker.config.types import parse_master_url
from stoker.core.model.messages import Failed, Message, ToClient
from stoker.core.model.states import Role
from stoker.core.peer.asking import ANSWER_WITHIN, SAY_AFTER, Asking, AskingEffect
from stoker.core.peer.events import Answered, Connect, Disconnect, GaveUp, Lost, Note, Notice, Send
from stoker.errors import NotAuthorized, NotFound, Refused, Unreachable
from stoker.io.context import new_context
from stoker.io.master_links import MasterLinks
from stoker.io.transport import Source
from stoker.security.keys import Keys
from stoker.wire import codec

TIMEOUT = 20.0  # seconds without a leading master until the session gives up (spec 9.4)


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
        self._notice = notice
        rng = random.Random()  # noqa: S311 - spreads reconnections, guards nothing
        self._core = Asking(addresses, rng, timeout=timeout, answer_within=ANSWER_WITHIN, say_after=SAY_AFTER)
        self._context: zmq.Context[Any] = new_context()
        self._sources = _Sources()
        self._links: MasterLinks[ToClient] = MasterLinks(
            self._context, self._sources, keys=keys, role=role, name=name, decoder=codec.to_client
        )
        self._exchanges: dict[int, Exchange] = {}
        self._pending: deque[AskingEffect] = deque()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and drop open questions. A second call does nothing."""
        self._exchanges.clear()
        self._links.close()
        self._context.term()

    @property
    def timeout(self) -> float:
        return self._core.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._core.timeout = seconds

    @property
    def master(self) -> str:
        """HOST:PORT of the master in use; "" while there is none."""
        return self._core.master

    # --- asking ------------------------------------------------------------------------------------------------------

    def call(self, message: Message) -> Message:
        """Ask and wait for the answer. ``message.request`` is filled in here.

        Raises Unreachable (naming every master tried), NotAuthorized, NotFound or Refused (in the cluster's words).
        """
        answers: list[Message] = []

        def then(answer: Message) -> bool:
            answers.append(answer)
            return True

        exchange = self.ask(message, then)
        try:
            while not answers:
                self.pump()
        finally:
            self.forget(exchange)
        return self.checked(answers[0])

    def ask(
        self, question: Message, then: Then, *, on_lost: Callable[[], None] | None = None, prompt: bool = True
    ) -> Exchange:
        """Ask without waiting: the answers come to ``then`` from within ``pump``. An oversized question is answered with
        ``Failed``."""
        request = self._core.ask(question, time.monotonic(), repeat=on_lost is None, prompt=prompt)
        exchange = Exchange(question, then, on_lost, prompt, request.number)
        self._exchanges[exchange.number] = exchange
        for effect in self._core.take_effects():  # at once: the caller may not pump for a while
            if isinstance(effect, Send):
                self._links.send(effect.address, effect.message)
            else:
                self._pending.append(effect)
        return exchange

    def forget(self, exchange: Exchange) -> None:
        """Ignore its further answers."""
        self._core.forget(exchange.number)
        self._exchanges.pop(exchange.number, None)

    def checked(self, answer: Message) -> Message:
        """Return the answer, unless it is a refusal. Raises NotAuthorized, NotFound or Refused."""
        if not isinstance(answer, Failed):
            return answer
        if answer.code == "not-authorized":
            raise NotAuthorized(answer.reason)
        raise (NotFound if answer.code == "not-found" else Refused)(answer.reason)

    # --- the work ----------------------------------------------------------------------------------------------------

    def pump(self, timeout: float | None = None) -> None:
        """Wait until something happens, at most ``timeout`` seconds, and pass it on. Reconnects by itself.

        Raises Unreachable when there has been no leading master for ``self.timeout`` seconds, and NotAuthorized as soon as
        all masters have refused our key.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        if self._work():
            return
        self._sources.wait(0.0 if self._links.has_news else min(end, self._core.next_deadline()))
        self._work()

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
        while not self.master:
            self.pump()

    def _work(self) -> bool:
        """One round: events into the core, effects out of it. Returns whether a caller's function was called."""
        now = time.monotonic()
        for event in self._links.drain():
            self._core.handle(event, now)
        self._core.tick(now)
        called = False
        while True:
            self._pending.extend(self._core.take_effects())
            if not self._pending:
                return called
            called |= self._perform(self._pending.popleft())

    def _perform(self, effect: AskingEffect) -> bool:
        """Returns whether a caller's function was called."""
        if isinstance(effect, Send):
            self._links.send(effect.address, effect.message)
        elif isinstance(effect, Connect):
            self._links.connect(effect.address)
        elif isinstance(effect, Disconnect):
            self._links.disconnect(effect.address)
        elif isinstance(effect, Answered):
            return self._pass_on(effect)
        elif isinstance(effect, Lost):
            return self._end(effect.request)
        elif isinstance(effect, GaveUp):
            if effect.kind == "not-authorized":
                raise NotAuthorized(effect.reason)
            tried = f"tried for {self.timeout:g} s; see --master, --timeout"
            raise Unreachable(f"no master answers: {effect.reason} ({tried})")
        elif isinstance(effect, Notice):
            if self._notice is not None:
                self._notice(effect.text)
        elif isinstance(effect, Note):
            _log(effect.text)
        return False

    def _pass_on(self, effect: Answered) -> bool:
        exchange = self._exchanges.get(effect.request)
        if exchange is None:
            return False
        if exchange.then(effect.message):
            self.forget(exchange)
        else:
            self._core.replace(exchange.number, exchange.message)
        return True

    def _end(self, number: int) -> bool:
        exchange = self._exchanges.pop(number, None)
        if exchange is None or exchange.on_lost is None:
            return False
        exchange.on_lost()
        return True


class _Sources:
    """The sockets of the session's links."""

    def __init__(self) -> None:
        self._poller = zmq.Poller()

    def add_reader(self, source: Source, callback: Callable[[], None]) -> None:
        self._poller.register(source, zmq.POLLIN)

    def remove_reader(self, source: Source) -> None:
        self._poller.unregister(source)

    def wait(self, until: float) -> None:
        """Until one is readable, or ``until`` (``time.monotonic()`` seconds), or a minute has passed."""
        seconds = max(0.0, min(60.0, until - time.monotonic()))
        if self._poller.sockets:
            # Rounded up: waking a fraction of a millisecond early would spin until the deadline.
            self._poller.poll(math.ceil(seconds * 1000))
        else:
            time.sleep(seconds)  # without sockets, poll() returns at once


def _log(text: str) -> None:
    import logging  # noqa: PLC0415 - a twentieth of the start of a command, for what rarely happens

    logging.getLogger(__name__).debug("%s", text)
