"""What a session and an application have in common for whoever asks the leading master: one interface for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from stoker.core.model.messages import Message

Then = Callable[[Message], bool]


class Exchange(msgspec.Struct, eq=False):
    """A question under way. ``then`` gets each answer and returns whether that was the last one.

    ``message`` is what is sent again to the next leader; ``then`` may replace it. With ``on_lost``, the question is not sent
    again: the exchange ends with its connection, and ``on_lost`` is called. ``prompt``: the master itself answers, at once.
    """

    message: Message
    then: Then
    on_lost: Callable[[], None] | None = None
    prompt: bool = True
    number: int = 0  # of the request, once it has one


class Askable(Protocol):
    """``then`` and ``on_lost`` are called from within ``Session.pump``, or in an application's own thread."""

    def ask(
        self, question: Message, then: Then, *, on_lost: Callable[[], None] | None = None, prompt: bool = True
    ) -> Exchange:
        """Ask the leading master, and the next one when its connection is lost. ``question.request`` is filled in."""

    def forget(self, exchange: Exchange) -> None:
        """Ignore further answers."""
