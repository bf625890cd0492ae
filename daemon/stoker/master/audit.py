"""Audit what clients ask the master for on its port, and what the core answers. Requests over HTTP are audited there."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable

from stoker.core.model.messages import (
    DrainWorkers,
    Failed,
    FetchBlob,
    FindMissingBlobs,
    GetStatus,
    HoldJob,
    KillExecutors,
    Message,
    MissingBlobs,
    ReadLog,
    RequestExecutors,
    SubmitDriver,
    UploadChunk,
    WatchDriver,
)
from stoker.core.model.states import Role
from stoker.io.sockets import Incoming
from stoker.security.audit import audit, line_of, write

MOST_REFUSED = 600  # refusals of one principal that are recorded in a minute
MOST_WAITING = 10_000  # requests whose answer is awaited; the oldest is recorded as unanswered beyond them
_UNAUDITED = frozenset(
    {GetStatus, WatchDriver, ReadLog, FetchBlob, FindMissingBlobs, UploadChunk, RequestExecutors, KillExecutors}
)
_ACTIONS = {"SubmitDriver": "submit", "KillJob": "kill", "HoldJob": "hold", "UpdateJob": "update"}
_TARGETS = ("driver_id", "app_id", "id", "workers")  # fields of an answer or of a request, the first that has a value


class MasterAudit:
    """Requests that change something, from when they come until they are answered. Each one is recorded with its result,
    whoever may make it and whatever new kinds there are. ``address_of`` returns a peer's address. For the loop only.

    Lines are kept until ``write``, which comes before the answers leave."""

    def __init__(self, address_of: Callable[[bytes], str]) -> None:
        self._address_of = address_of
        self._waiting: dict[tuple[bytes, int], Incoming] = {}
        self._refused: Counter[str] = Counter()  # by principal, in this minute
        self._minute = 0.0
        self._lines: list[str] = []

    def write(self) -> None:
        """Write what was recorded since the last call."""
        if self._lines:
            lines, self._lines = self._lines, []
            write(lines)

    def asked(self, event: Incoming) -> None:
        request = getattr(event.message, "request", None)
        if request is None or event.role is Role.WORKER or type(event.message) in _UNAUDITED:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._record(self._waiting.pop(next(iter(self._waiting))), None, "unanswered")
            self.write()
        self._waiting[event.peer, request] = event

    def answered(self, peer: bytes, message: Message) -> None:
        request = getattr(message, "request", None)
        event = None if request is None else self._waiting.pop((peer, request), None)
        if event is None or isinstance(message, MissingBlobs):  # the client uploads the files and asks again
            return
        if not isinstance(message, Failed):
            self._record(event, message, "done")
        elif (text := self._limited(event.principal, message.reason)) is not None:
            self._record(event, message, text)

    def peer_gone(self, peer: bytes) -> None:
        for key in [key for key in self._waiting if key[0] == peer]:
            self._record(self._waiting.pop(key), None, "unanswered: disconnected")
        self.write()

    def refused(self, peer: bytes, principal: str, request: str, reason: str) -> None:
        """Record a message that the sender's key does not permit."""
        audit(_action_of(request), "-", reason, who=principal, door="port", address=self._address_of(peer))

    def _limited(self, principal: str, reason: str) -> str | None:
        """Return what to record of a refusal; None beyond the limit, so that nobody fills the disk with refusals."""
        now = time.monotonic()
        if now >= self._minute + 60.0:
            self._minute = now
            self._refused.clear()
        self._refused[principal] += 1
        if self._refused[principal] > MOST_REFUSED:
            return None
        return (
            reason if self._refused[principal] < MOST_REFUSED else f"{reason} (more refusals are not recorded for 60 s)"
        )

    def _record(self, event: Incoming, answer: Message | None, result: str) -> None:
        message = event.message
        action = _action_of(type(message).__name__)
        if isinstance(message, DrainWorkers):
            action = "drain" if message.drain else "undrain"
        elif isinstance(message, HoldJob):
            action = "hold" if message.hold else "release"
        target = _target_of(answer) or _target_of(message)
        if not target and isinstance(message, SubmitDriver):
            target = message.driver.name
        self._lines.append(
            line_of(
                action,
                target,
                result,
                who=event.principal,
                role=event.role.value,
                door=event.door or getattr(message, "door", "") or "port",
                address=self._address_of(event.peer),
            )
        )


def _target_of(message: Message | None) -> str:
    for name in _TARGETS:
        value = getattr(message, name, None)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, tuple) and value:
            return ",".join(str(getattr(item, "id", item)) for item in value)
    return ""


def _action_of(name: str) -> str:
    return _ACTIONS.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
