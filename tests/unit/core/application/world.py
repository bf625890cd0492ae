"""One application's core with a clock that the test sets, and the messages of a master."""

from __future__ import annotations

import random

from stoker.core.application import events as ev
from stoker.core.application.machine import ApplicationCore
from stoker.core.model import messages as m
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import ApplicationDescription, Command, Exit
from stoker.core.peer import events as peer
from stoker.wire import codec
from tests.support.clocked import Clocked

APP = ApplicationDescription(name="test", command=Command(argv=("true",)))
ID = "app-20260101000000-0001"
NOT_ENDED = Exit()
A, B, C = "a:7077", "b:7077", "c:7077"


class World(Clocked[ApplicationCore]):
    """Drives one core; every message goes through the real codec. ``effects``: those that no test has looked at yet."""

    def __init__(self, *masters: str, seed: int = 1) -> None:
        self.now = 100.0
        self.core = ApplicationCore(
            app=APP, masters=masters or (A,), token="t0ken", rng=random.Random(seed), now=self.now
        )
        self.effects: list[ev.ApplicationEffect] = []
        self.advance(0)

    def open(self, address: str = A) -> None:
        self._handle(peer.LinkOpened(address))

    def close(self, address: str = A, reason: str = "connection refused", denied: bool = False) -> None:
        self._handle(peer.LinkClosed(address, reason, denied))

    def say(self, message: m.Message, address: str = A) -> None:
        self._handle(peer.LinkMessage(address, codec.to_client.decode(codec.encode(message))))

    def _handle(self, event: peer.LinkEvent) -> None:
        self.core.handle(event, self.now)
        self._take()

    def _take(self) -> None:
        for effect in self.core.take_effects():
            if isinstance(effect, peer.Send):
                self.effects.append(peer.Send(effect.address, codec.to_master.decode(codec.encode(effect.message))))
            else:
                self.effects.append(effect)
            if isinstance(effect, peer.Answered):
                self.core.forget(effect.request)

    def take(self, kind: type) -> list:
        found = [effect for effect in self.effects if isinstance(effect, kind)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, kind)]
        return found

    def sent(self, kind: type, address: str = A) -> list:
        return [
            effect.message
            for effect in self.take(peer.Send)
            if isinstance(effect.message, kind) and effect.address == address
        ]

    def register(self, address: str = A, epoch: int = 1, app_id: str = ID) -> None:
        self.open(address)
        request = self.sent(m.RegisterApplication, address)[-1].request
        self.say(registered(request, epoch, app_id, address), address)

    def nothing_left(self) -> None:
        assert self.effects == []


def registered(request: int, epoch: int = 1, app_id: str = ID, address: str = A, beat: float = 15.0) -> m.Message:
    return m.RegisteredApplication(
        request=request, app_id=app_id, master_url=f"spark://{address}", epoch=epoch, heartbeat_interval=beat
    )


def added(executor_id: int, app_id: str = ID) -> m.Message:
    return m.ExecutorAdded(app_id=app_id, executor_id=executor_id, worker_id="w", host="h", cores=1, memory_mib=512)


def updated(executor_id: int, state: ExecutorState, exit: Exit = NOT_ENDED, app_id: str = ID) -> m.Message:
    return m.ExecutorUpdated(app_id=app_id, executor_id=executor_id, state=state, exit=exit)


def ask(world: World, message: m.Message) -> int:
    number = world.core.call(message, world.now)
    world._take()
    return number


def stop(world: World) -> None:
    world.core.stop(ApplicationState.FINISHED, "done", world.now)
    world._take()
