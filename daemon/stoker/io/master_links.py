"""The links of a worker, an application or a client to the masters: ``Link``s by address, as the events of ``core.peer``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import zmq

from stoker.core.model.messages import Failed, Message
from stoker.core.model.states import Role
from stoker.core.peer.events import LinkClosed, LinkEvent, LinkMessage, LinkOpened
from stoker.errors import ProtocolError, StokerError
from stoker.io.link import Closed, Link, Opened
from stoker.io.transport import Source
from stoker.security.keys import Keys
from stoker.wire import codec

T = TypeVar("T", bound=Message)


class Readers(Protocol):
    """A poller of sources, such as ``io.loop.Loop``."""

    def add_reader(self, source: Source, callback: Callable[[], None]) -> None: ...

    def remove_reader(self, source: Source) -> None: ...


class MasterLinks(Generic[T]):
    """Belongs to one thread. Its sources wake ``readers``; the owner calls ``drain`` in every round."""

    def __init__(
        self,
        context: zmq.Context[Any],
        readers: Readers,
        *,
        keys: Keys | None,
        role: Role,
        name: str,
        decoder: codec.Decoder[T],
        heartbeat_timeout: float = 60.0,
        linger: float = 0.0,
    ) -> None:
        """``heartbeat_timeout`` and ``linger`` (how long messages already sent may take to get out when a link is closed) are
        seconds."""
        self._context = context
        self._readers = readers
        self._keys = keys
        self._role = role
        self._name = name
        self._decoder = decoder
        self._heartbeat_timeout = heartbeat_timeout
        self._linger = linger
        self._links: dict[str, Link[T]] = {}
        self._news: list[LinkEvent] = []

    @property
    def has_news(self) -> bool:
        """``drain`` has something to return that no source announces."""
        return bool(self._news)

    def connect(self, address: str) -> None:
        self.disconnect(address)
        try:
            link = Link(
                self._context,
                address=address,
                keys=self._keys,
                role=self._role,
                name=self._name,
                decoder=self._decoder,
                heartbeat_timeout=self._heartbeat_timeout,
            )
        except StokerError as error:  # without a key for it, waiting does not help
            self._news.append(LinkClosed(address, str(error), denied=True))
            return
        self._links[address] = link
        for source in link.sources():
            self._readers.add_reader(source, _do_nothing)

    def disconnect(self, address: str) -> None:
        link = self._links.pop(address, None)
        if link is not None:
            for source in link.sources():
                self._readers.remove_reader(source)
            link.close(self._linger)

    def send(self, address: str, message: Message) -> bool:
        """Send, if there is an open link. A link whose master does not read is closed. An oversized message is answered
        here as masters would answer it. False: not sent."""
        link = self._links.get(address)
        if link is None:
            return False
        try:
            if link.send(message):
                return True
        except ProtocolError as error:
            request: int = getattr(message, "request", 0)
            self._news.append(LinkMessage(address, Failed(request=request, reason=str(error), code="bad-request")))
            return False
        self.disconnect(address)
        self._news.append(LinkClosed(address, f"master {address} does not read our messages"))
        return False

    def drain(self) -> list[LinkEvent]:
        """Return the events in order. No event of a link follows its ``LinkClosed``."""
        events, self._news = self._news, []
        for address, link in list(self._links.items()):
            for item in link.drain():
                if isinstance(item, Opened):
                    events.append(LinkOpened(address))
                elif isinstance(item, Closed):
                    self.disconnect(address)
                    events.append(LinkClosed(address, item.reason, item.denied))
                else:
                    events.append(LinkMessage(address, item))
        return events

    def close(self) -> None:
        for address in list(self._links):
            self.disconnect(address)


def _do_nothing() -> None:
    """The owner only has to wake up: ``drain`` looks at every link."""
