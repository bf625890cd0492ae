"""Log reading through the master, so that clients and browsers need not reach workers. The master passes a request to the
worker that has the output, and the answer back to the asker."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from stoker.config.limits import PREFIX, Limits
from stoker.core.master.machine import OutputLocation
from stoker.core.model.messages import LogData, Message, ReadLog

MAX_PENDING = 10_000  # over all askers; a long poll occupies one
NO_SETTINGS = Limits()
MAX_WAIT = 60.0  # seconds a worker may hold a request

Answer = Callable[[LogData], None]


@dataclass(frozen=True, slots=True)
class _Pending:
    asker: bytes | None
    request: int
    worker: bytes
    answer: Answer
    counted: tuple[object, bool]


class LogRelay:
    """Passes log requests on. ``locate`` finds the worker to ask; ``send`` sends a message to a peer."""

    def __init__(
        self,
        locate: Callable[[str, int, int], OutputLocation],
        send: Callable[[bytes, Message], None],
        *,
        limits: Limits = NO_SETTINGS,
        owner_of: Callable[[bytes], object] = lambda peer: peer,
    ) -> None:
        self._locate = locate
        self._send = send
        self._limits = limits
        self._owner_of = owner_of
        self._waiting: Counter[tuple[object, bool]] = Counter()  # by owner, and whether it is a search
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
        owner = None if asker is None else self._owner_of(asker)
        error = location.error or self._reason_against(owner, is_search=bool(message.find))
        if error or location.peer is None:
            answer(LogData(request=message.request, error=error or "its worker is not connected"))
            return
        number = next(self._numbers)
        self._pending[number] = _Pending(asker, message.request, location.peer, answer, (owner, bool(message.find)))
        self._waiting[owner, bool(message.find)] += 1
        wait = min(max(message.wait, 0.0), MAX_WAIT)
        self._send(location.peer, msgspec.structs.replace(message, request=number, wait=wait))

    def _reason_against(self, owner: object, *, is_search: bool) -> str:
        """Return why no further request of that owner may wait, or ""."""
        most = self._limits.searches if is_search else self._limits.log_questions
        if owner is not None and self._waiting[owner, is_search] >= most:
            setting = "searches" if is_search else "logQuestions"
            return f"{most} of your log requests are waiting ({PREFIX}{setting}): try again"
        return "too many log requests are waiting: try again" if len(self._pending) >= MAX_PENDING else ""

    def _taken(self, number: int) -> None:
        pending = self._pending.pop(number)
        self._waiting[pending.counted] -= 1
        if not self._waiting[pending.counted]:
            del self._waiting[pending.counted]

    def answer(self, worker: bytes, message: LogData) -> None:
        """Pass a worker's answer back. Only the worker that was asked may answer."""
        pending = self._pending.get(message.request)
        if pending is not None and pending.worker == worker:
            self._taken(message.request)
            pending.answer(msgspec.structs.replace(message, request=pending.request))

    def peer_gone(self, peer: bytes) -> None:
        for number, pending in list(self._pending.items()):
            if pending.worker == peer:
                self._taken(number)
                error = "its worker was lost; the output so far is on that machine"
                pending.answer(LogData(request=pending.request, error=error))
            elif pending.asker == peer:
                self._taken(number)
