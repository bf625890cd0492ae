"""The questions that a peer has asked the leading master."""

from __future__ import annotations

import msgspec

from stoker.core.model.messages import Message


class Request(msgspec.Struct, eq=False):
    """A question under way. ``message`` goes to the next leader as well, if this one is lost (``repeat``). ``prompt``: the
    master itself answers, at once; if it does not, it does not work."""

    number: int
    message: Message
    repeat: bool = True
    prompt: bool = True


class Requests:
    """By number. A question is open until it is forgotten; it may have many answers."""

    def __init__(self) -> None:
        self._open: dict[int, Request] = {}
        self._unsent: dict[int, None] = {}  # numbers, in order
        self._owed: set[int] = set()  # prompt ones that the leader in use has not answered
        self._last_number = 0

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def is_owed(self) -> bool:
        """The leader in use has not answered a prompt question."""
        return bool(self._owed)

    def number(self) -> int:
        """A fresh number, for this or any other request of the same peer."""
        self._last_number += 1
        return self._last_number

    def add(self, message: Message, *, repeat: bool = True, prompt: bool = True) -> Request:
        """Open a question. ``message.request`` is filled in when it is sent."""
        request = Request(self.number(), message, repeat, prompt)
        self._open[request.number] = request
        self._unsent[request.number] = None
        return request

    def replace(self, number: int, message: Message) -> None:
        """Send the next leader something else. Does nothing if the question is not open."""
        if number in self._open:
            self._open[number].message = message

    def answered(self, message: Message) -> Request | None:
        """The open question that this message answers."""
        number = getattr(message, "request", None)
        request = self._open.get(number) if isinstance(number, int) else None
        if request is not None:
            self._owed.discard(request.number)
        return request

    def forget(self, number: int) -> None:
        """Close the question: it is answered, or nobody waits for the answer."""
        self._open.pop(number, None)
        self._unsent.pop(number, None)
        self._owed.discard(number)

    def take_unsent(self) -> list[Message]:
        """The questions that the leader in use has not been sent, in the order of their numbers."""
        taken = [self._open[number] for number in self._unsent]
        self._unsent.clear()
        self._owed.update(request.number for request in taken if request.prompt)
        return [msgspec.structs.replace(request.message, request=request.number) for request in taken]

    def leader_lost(self) -> list[int]:
        """Send the open questions to the next leader. Those that must not be repeated are closed; return their
        numbers."""
        lost = [number for number, request in self._open.items() if not request.repeat]
        for number in lost:
            self.forget(number)
        self._owed.clear()
        self._unsent = dict.fromkeys(self._open)
        return lost

    def clear(self) -> list[int]:
        """Close all. Returns their numbers."""
        numbers = list(self._open)
        self._open.clear()
        self._unsent.clear()
        self._owed.clear()
        return numbers
