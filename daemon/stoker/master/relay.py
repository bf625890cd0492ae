"""Log reading through the master: clients need not reach workers. A request is passed to the worker that has the
output, its answer back to the asker."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from stoker.core.master import Place
from stoker.core.messages import LogData, Message, ReadLog

MAX_PENDING = 10_000  # over all askers; a long poll occupies one
MAX_WAIT = 60.0  # seconds a worker may hold a request


@dataclass(frozen=True, slots=True)
class _Pending:
    asker: bytes
    request: int
    worker: bytes


class LogRelay:
    """``locate`` tells which worker to ask; ``reply`` sends a message to a peer."""

    def __init__(self, locate: Callable[[str, int], Place], reply: Callable[[bytes, Message], None]) -> None:
        self._locate = locate
        self._reply = reply
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}

    def ask(self, peer: bytes, message: ReadLog) -> None:
        place = self._locate(message.id, message.executor_id)
        if place.waiting:
            self._reply(peer, LogData(request=message.request, waiting=True))
            return
        error = "too many log requests are waiting: try again" if len(self._pending) >= MAX_PENDING else place.error
        if error or place.peer is None:
            self._reply(peer, LogData(request=message.request, error=error or "its worker is not connected"))
            return
        number = next(self._numbers)
        self._pending[number] = _Pending(peer, message.request, place.peer)
        wait = min(max(message.wait, 0.0), MAX_WAIT)
        self._reply(place.peer, msgspec.structs.replace(message, request=number, wait=wait))

    def answer(self, worker: bytes, message: LogData) -> None:
        """Only the worker that was asked may answer."""
        pending = self._pending.get(message.request)
        if pending is not None and pending.worker == worker:
            del self._pending[message.request]
            self._reply(pending.asker, msgspec.structs.replace(message, request=pending.request))

    def peer_gone(self, peer: bytes) -> None:
        for number, pending in list(self._pending.items()):
            if pending.worker == peer:
                del self._pending[number]
                error = "its worker was lost; the output so far is on that machine"
                self._reply(pending.asker, LogData(request=pending.request, error=error))
            elif pending.asker == peer:
                del self._pending[number]
