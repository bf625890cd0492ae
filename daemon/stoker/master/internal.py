"""Requests from the HTTP interfaces: they go through the core as a client's do, so what is answered is recorded."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from stoker.core.model.messages import Failed, Message
from stoker.errors import NotAuthorized, NotFound, Refused
from stoker.io.ask import ANSWER_WITHIN

_PREFIX = b"http/"  # no peer of the server is called so: theirs begin with a role
NO_ANSWER = b"http/-"  # nobody waits for answers to this one


class InternalRequests:
    """``ask`` belongs to the HTTP threads, ``take`` to the loop."""

    def __init__(self, call: Callable[[Callable[[], None]], None]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[bytes, Future[Message]] = {}

    def ask(self, handle: Callable[[bytes], None]) -> Message:
        """Have ``handle`` give the request to the core in the loop, under the peer's name it is called with; the core's
        answer. Raises NotFound, NotAuthorized or Refused in its words."""
        future: Future[Message] = Future()
        with self._lock:
            peer = _PREFIX + str(next(self._numbers)).encode()
            self._waiting[peer] = future
        self._call(lambda: handle(peer))
        try:
            answer = future.result(ANSWER_WITHIN)
        except FutureTimeout:
            raise Refused("the daemon is too busy to answer: look whether it was done, then try again") from None
        finally:
            with self._lock:
                self._waiting.pop(peer, None)
        if isinstance(answer, Failed):
            kinds: dict[str, type[Refused | NotAuthorized]] = {"not-found": NotFound, "not-authorized": NotAuthorized}
            raise kinds.get(answer.code, Refused)(answer.reason)
        return answer

    def take(self, peer: bytes, message: Message) -> bool:
        """Is that an answer for here? Only the first counts, and a late one goes nowhere."""
        if not peer.startswith(_PREFIX):
            return False
        with self._lock:
            future = self._waiting.pop(peer, None)
        if future is not None:
            future.set_result(message)
        return True
