"""Log reading through the master, so that clients and browsers need not reach workers. The master passes a request to the
worker that has the output, and the answer back to the asker."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from stoker.core.master.machine import OutputLocation
from stoker.core.model.messages import LogData, Message, ReadLog

MAX_PENDING = 10_000  # over all askers; a long poll occupies one
MAX_WAIT = 60.0  # seconds a worker may hold a request

Answer = Callable[[LogData], None]


@dataclass(frozen=True, slots=True)
class _Pending:
    asker: bytes | None
    request: int
    worker: bytes
    answer: Answer


class LogRelay:
    """Passes log requests on. ``locate`` finds the worker to ask; ``send`` sends a message to a peer."""

    def __init__(
        self, locate: Callable[[str, int, int], OutputLocation], send: Callable[[bytes, Message], None]
    ) -> None:
        self._locate = locate
        self._send = send
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}

    def ask_for(self, peer: bytes, message: ReadLog) -> None:
        """Pass on a client's request; it is dropped when the client disconnects."""
        self.ask(message, lambda data: self._send(peer, data), asker=peer)

    def ask(self, message: ReadLog, answer: Answer, *, asker: bytes | None = None) -> None:
        """Pass on a request. ``answer`` is called once, now or in a later round; never if the asker disconnects first."""
        location = self._locate(message.id, message.executor_id, message.attempt)
        if location.waiting:
            answer(LogData(request=message.request, waiting=True))
            return
        error = "too many log requests are waiting: try again" if len(self._pending) >= MAX_PENDING else location.error
        if error or location.peer is None:
            answer(LogData(request=message.request, error=error or "its worker is not connected"))
            return
        number = next(self._numbers)
        self._pending[number] = _Pending(asker, message.request, location.peer, answer)
        wait = min(max(message.wait, 0.0), MAX_WAIT)
        self._send(location.peer, msgspec.structs.replace(message, request=number, wait=wait))

    def answer(self, worker: bytes, message: LogData) -> None:
        """Pass a worker's answer back. Only the worker that was asked may answer."""
        pending = self._pending.get(message.request)
        if pending is not None and pending.worker == worker:
            del self._pending[message.request]
            pending.answer(msgspec.structs.replace(message, request=pending.request))

    def peer_gone(self, peer: bytes) -> None:
        for number, pending in list(self._pending.items()):
            if pending.worker == peer:
                del self._pending[number]
                error = "its worker was lost; the output so far is on that machine"
                pending.answer(LogData(request=pending.request, error=error))
            elif pending.asker == peer:
                del self._pending[number]
