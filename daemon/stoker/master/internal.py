"""Requests from the HTTP interfaces. They go through the core like a client's, so an answered request is recorded."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from stoker.core.model.messages import Failed, Message
from stoker.errors import NotAuthorized, NotFound, Refused
from stoker.io.ask import ANSWER_WITHIN

_PREFIX = b"http/"  # peers of the server have other names: these begin with a role
NO_ANSWER = b"http/-"  # answers to this name are dropped


class InternalRequests:
    """Open requests. The HTTP threads call ``ask``, the loop calls ``take``."""

    def __init__(self, call: Callable[[Callable[[], None]], None]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[bytes, Future[Message]] = {}

    def ask(self, handle: Callable[[bytes], None]) -> Message:
        """Run ``handle`` in the loop and return the core's answer. ``handle`` gives the request to the core under the peer's
        name that it gets as argument. Raises NotFound, NotAuthorized or Refused with the core's reason."""
        future: Future[Message] = Future()
        with self._lock:
            peer = _PREFIX + str(next(self._numbers)).encode()
            self._waiting[peer] = future
        self._call(lambda: handle(peer))
        try:
            answer = future.result(ANSWER_WITHIN)
        except FutureTimeout:
            raise Refused("the daemon is too busy to answer: check whether it was done, then try again") from None
        finally:
            with self._lock:
                self._waiting.pop(peer, None)
        if isinstance(answer, Failed):
            kinds: dict[str, type[Refused | NotAuthorized]] = {"not-found": NotFound, "not-authorized": NotAuthorized}
            raise kinds.get(answer.code, Refused)(answer.reason)
        return answer

    def take(self, peer: bytes, message: Message) -> bool:
        """Return whether the message is an answer to such a request. Only the first answer counts; a late one is dropped."""
        if not peer.startswith(_PREFIX):
            return False
        with self._lock:
            future = self._waiting.pop(peer, None)
        if future is not None:
            future.set_result(message)
        return True
