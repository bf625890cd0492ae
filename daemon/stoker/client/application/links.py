"""The connections of an application: ``io.link.Link``s by address, as events of ``core.application``."""

from __future__ import annotations

from stoker.core.application.events import LinkClosed, LinkEvent, LinkMessage, LinkOpened
from stoker.core.model.messages import Message, ToClient
from stoker.core.model.states import Role
from stoker.errors import ConfigError, StokerError
from stoker.io.link import Closed, Link, Opened
from stoker.io.loop import Loop
from stoker.security.keys import Keys
from stoker.wire import codec


class AppLinks:
    """Belongs to the loop's thread. Its sources wake the loop; the owner calls ``drain`` in every round."""

    def __init__(self, loop: Loop, *, keys: Keys | None, name: str) -> None:
        self._loop = loop
        self._keys = keys
        self._name = name
        self._links: dict[str, Link[ToClient]] = {}
        self._news: list[LinkEvent] = []

    @property
    def has_news(self) -> bool:
        """There is something to drain that no source tells of."""
        return bool(self._news)

    def connect(self, address: str) -> None:
        self.disconnect(address)
        try:
            link = Link(
                self._loop.context,
                address=address,
                keys=self._keys,
                role=Role.CLIENT,
                name=self._name,
                decoder=codec.to_client,
            )
        except StokerError as error:
            # Without a key for it, waiting does not help.
            self._news.append(LinkClosed(address, str(error), denied=isinstance(error, ConfigError)))
            return
        self._links[address] = link
        for source in link.sources():
            self._loop.add_reader(source)

    def disconnect(self, address: str) -> None:
        link = self._links.pop(address, None)
        if link is not None:
            for source in link.sources():
                self._loop.remove_reader(source)
            link.close()

    def send(self, address: str, message: Message) -> None:
        """A link that does not take it is given up: its master does not read."""
        link = self._links.get(address)
        if link is None:
            return
        try:
            sent = link.send(message)
        except StokerError as error:  # larger than any master accepts
            sent, why = False, str(error)
        else:
            why = "it does not take our messages"
        if not sent:
            self.disconnect(address)
            self._news.append(LinkClosed(address, why))

    def drain(self) -> list[LinkEvent]:
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
