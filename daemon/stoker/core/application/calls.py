"""What an application has asked the leading master and not heard of yet."""

from __future__ import annotations

from stoker.core.model.messages import Message


class Calls:
    """By request number. A question is repeated to each new leader."""

    def __init__(self) -> None:
        self._open: dict[int, Message] = {}
        self._unsent: set[int] = set()
        self._last_number = 0

    def __bool__(self) -> bool:
        return bool(self._open)

    def __contains__(self, number: int) -> bool:
        return number in self._open

    def number(self) -> int:
        """Of this or any other request of the application."""
        self._last_number += 1
        return self._last_number

    def add(self, number: int, message: Message) -> None:
        self._open[number] = message
        self._unsent.add(number)

    def forget(self, number: int) -> None:
        """It is answered, or nobody waits for the answer."""
        self._open.pop(number, None)
        self._unsent.discard(number)

    def repeat_all(self) -> None:
        self._unsent = set(self._open)

    def take_unsent(self) -> list[Message]:
        """In the order of their numbers."""
        messages = [self._open[number] for number in sorted(self._unsent)]
        self._unsent.clear()
        return messages

    def clear(self) -> list[int]:
        """The numbers of what was open."""
        numbers = list(self._open)
        self._open.clear()
        self._unsent.clear()
        return numbers
