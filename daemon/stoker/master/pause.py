"""What a leader does while it may not act: ZooKeeper does not answer, or its records cannot be written.

Nothing is decided then. Those who ask are told why and look for another master, or ask again; what workers and
applications report waits, so that nothing they said is lost when the master goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from stoker.core.model.messages import Failed, Message
from stoker.io.sockets import Garbage, Gone, Received

MOST_KEPT = 200_000  # events; the rest waits in the sockets, and workers repeat what is not acknowledged

Event = Received | Gone | Garbage


class Pause:
    """``frozen`` and ``unwritten`` say why; both empty: the master may act."""

    def __init__(self, reply: Callable[[bytes, Message], None]) -> None:
        self.frozen = ""  # the election cannot tell whether this master leads
        self.unwritten = ""  # the last batch could not be recorded
        self._reply = reply
        self._kept: list[Event] = []

    @property
    def reason(self) -> str:
        """Why the master does not act, in a line for users; empty when it does."""
        why = self.frozen or self.unwritten
        return f"the master waits: {why}" if why else ""

    @property
    def is_full(self) -> bool:
        return len(self._kept) >= MOST_KEPT

    def add(self, event: Event) -> None:
        """Answer it now, or keep it."""
        if isinstance(event, Received) and (request := getattr(event.message, "request", None)) is not None:
            self._reply(event.peer, Failed(request=request, reason=self.reason, code="not-leader"))
        else:
            self._kept.append(event)

    def take(self) -> list[Event]:
        """What has been kept, in order."""
        kept, self._kept = self._kept, []
        return kept
