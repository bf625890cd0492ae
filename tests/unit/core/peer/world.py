"""The world of a client's conversation with the masters: links, and a clock that the test sets; no socket, no thread."""

from __future__ import annotations

import random

from stoker.core.model import messages as m
from stoker.core.peer import events as peer
from stoker.core.peer.asking import Asking, AskingEffect
from stoker.wire import codec
from tests.support.clocked import Clocked

A, B, C = "a:7077", "b:7077", "c:7077"
KILL = m.KillJob(request=0, id="driver-1")
TIMEOUT = 20.0
GONE = "connection refused"


class World(Clocked[Asking]):
    """Drives one core; every message goes through the real codec. ``effects``: those that no test has looked at yet.
    ``links``: the addresses with a link, open or being opened."""

    def __init__(self, *masters: str, seed: int = 1) -> None:
        self.now = 100.0
        self.core = Asking(masters or (A,), random.Random(seed), timeout=TIMEOUT)
        self.effects: list[AskingEffect] = []
        self.links: set[str] = set()
        self.advance(0)

    def ask(self, message: m.Message = KILL, **how: bool) -> int:
        number = self.core.ask(message, self.now, **how).number
        self._take()
        return number

    def open(self, address: str = A) -> None:
        self._handle(peer.LinkOpened(address))

    def close(self, address: str = A, reason: str = GONE, denied: bool = False) -> None:
        self.links.discard(address)
        self._handle(peer.LinkClosed(address, reason, denied))

    def say(self, message: m.Message, address: str = A) -> None:
        self._handle(peer.LinkMessage(address, codec.to_client.decode(codec.encode(message))))

    def not_leader(self, request: int, address: str, leader: str = "") -> None:
        self.say(m.Failed(request=request, reason="STANDBY", code="not-leader", leader=leader), address)

    def _handle(self, event: peer.LinkEvent) -> None:
        self.core.handle(event, self.now)
        self.core.tick(self.now)
        self._take()

    def _take(self) -> None:
        for effect in self.core.take_effects():
            if isinstance(effect, peer.Connect):
                assert effect.address not in self.links, "one link at a time to one address"
                self.links.add(effect.address)
            elif isinstance(effect, peer.Disconnect):
                self.links.remove(effect.address)
            if isinstance(effect, peer.Send):
                self.effects.append(peer.Send(effect.address, codec.to_master.decode(codec.encode(effect.message))))
            else:
                self.effects.append(effect)

    def take(self, kind: type) -> list:
        found = [effect for effect in self.effects if isinstance(effect, kind)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, kind)]
        return found

    def dialled(self) -> list[str]:
        return [effect.address for effect in self.take(peer.Connect)]

    def sent(self) -> list[tuple[str, int]]:
        return [(effect.address, effect.message.request) for effect in self.take(peer.Send)]

    def serve(self, address: str = A) -> None:
        """The master at that address answers a question."""
        self.open(address)
        number = self.ask()
        self.say(m.Accepted(request=number), address)
        self.core.forget(number)
        assert self.core.master == address
        self.effects.clear()
