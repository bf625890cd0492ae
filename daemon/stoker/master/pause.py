"""A leader's pause: it may not act while ZooKeeper does not answer, or while its records cannot be written.

Nothing is decided then. Askers receive the reason; they look for another master or ask again. Reports of workers and
applications are kept, so that none is lost when the master goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from stoker.core.model.messages import Failed, Message
from stoker.io.sockets import Garbage, Incoming, PeerGone

MOST_KEPT = 200_000  # events; the rest waits in the sockets, and workers repeat reports that are not acknowledged

Event = Incoming | PeerGone | Garbage


class Pause:
    """The reasons of the pause, ``frozen`` and ``unwritten`` (both empty: no pause), and the events kept meanwhile."""

    def __init__(self, reply: Callable[[bytes, Message], None]) -> None:
        self.frozen = ""  # the election cannot tell whether this master leads
        self.unwritten = ""  # the last batch could not be recorded
        self._reply = reply
        self._kept: list[Event] = []

    @property
    def reason(self) -> str:
        """Why the master pauses, in a line for users; empty when it does not."""
        why = self.frozen or self.unwritten
        return f"the master waits: {why}" if why else ""

    @property
    def is_full(self) -> bool:
        return len(self._kept) >= MOST_KEPT

    def add(self, event: Event) -> None:
        """Answer the event now, or keep it."""
        if isinstance(event, Incoming) and (request := getattr(event.message, "request", None)) is not None:
            self._reply(event.peer, Failed(request=request, reason=self.reason, code="not-leader"))
        else:
            self._kept.append(event)

    def take(self) -> list[Event]:
        """Return the kept events, in order, and keep them no longer."""
        kept, self._kept = self._kept, []
        return kept
