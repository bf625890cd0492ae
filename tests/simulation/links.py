"""The connections of a worker, application or client to masters, by address, as ``io.link.Link``s are to their owners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.simulation.network import Connection, Opened
from tests.simulation.process import Node


class Links:
    """``refused`` is called with an address that could not be connected, and the reason."""

    def __init__(self, owner: Node, role: str, refused: Callable[[str, str], None]) -> None:
        self._owner, self._role, self._refused = owner, role, refused
        self._open: dict[str, Connection] = {}
        self._dialing: dict[str, object] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._open))

    def connect(self, address: str) -> None:
        self.disconnect(address)
        attempt = self._dialing[address] = object()
        self._owner.network.connect(self._owner, address, self._role, self._dialed(address, attempt))

    def _dialed(self, address: str, attempt: object) -> Callable[[Connection | None, Any], None]:
        owner, incarnation = self._owner, self._owner.incarnation

        def done(connection: Connection | None, reason: Any) -> None:
            wanted = self._dialing.get(address) is attempt
            if not owner.is_alive or owner.incarnation != incarnation or not wanted:
                if connection is not None:
                    connection.hang_up(owner, "", tell=False)
                return
            del self._dialing[address]
            if connection is not None:
                self._open[address] = connection
                owner.arrived(connection, Opened())
            else:
                owner.later(0.0, lambda: self._tell(address, str(reason)))

        return done

    def _tell(self, address: str, reason: str) -> None:
        if address not in self._open and address not in self._dialing:
            self._refused(address, reason)

    def disconnect(self, address: str) -> None:
        self._dialing.pop(address, None)
        link = self._open.pop(address, None)
        if link is not None:
            link.hang_up(self._owner, "", tell=False)

    def address_of(self, connection: Connection) -> str | None:
        """Return the master's address; None if this side has closed the connection since."""
        return next((address for address, link in self._open.items() if link is connection), None)

    def closed(self, address: str) -> None:
        """The other side has closed the connection."""
        del self._open[address]

    def send(self, address: str, frames: list[bytes]) -> bool:
        link = self._open.get(address)
        return link is not None and link.send(self._owner, frames)
