"""An application's process: the real core in the shell of ``stoker.client.application.app``, and its user's actions."""

from __future__ import annotations

import random
from typing import Any

from stoker.core.application.events import ApplicationEffect, Registered, Removed, Stopped
from stoker.core.application.machine import ApplicationCore
from stoker.core.model.messages import KillExecutors, RequestExecutors
from stoker.core.model.profiles import Profile
from stoker.core.model.states import ApplicationState
from stoker.core.model.values import ApplicationDescription
from stoker.core.peer.events import (
    Answered,
    Connect,
    Disconnect,
    GaveUp,
    LinkClosed,
    LinkMessage,
    LinkOpened,
    Note,
    Send,
)
from stoker.wire import codec
from tests.simulation.checks import Checks
from tests.simulation.links import Links
from tests.simulation.network import Closed, Connection, Network, Opened
from tests.simulation.process import Node
from tests.simulation.world import Host, World


class Application(Node):
    """``lives``: the seconds that its process runs before it unregisters; it may be killed before."""

    def __init__(
        self,
        world: World,
        network: Network,
        host: Host,
        *,
        masters: tuple[str, ...],
        description: ApplicationDescription,
        lives: float,
        checks: Checks,
    ) -> None:
        super().__init__(world, network, host, host.name)
        self.description, self.lives = description, lives
        self.core: ApplicationCore | None = None
        self.is_over = False  # removed or stopped: its work has ended
        self._masters, self._checks = masters, checks
        self._links = Links(self, "app", self._refused)

    def started(self) -> None:
        rng = random.Random(self.world.rng.getrandbits(32))
        token = f"token-{self.name}-{self.incarnation}"
        self.core = ApplicationCore(
            app=self.description, masters=self._masters, token=token, rng=rng, now=self.host.mono()
        )
        self._links = Links(self, "app", self._refused)
        if not self.description.finite:
            self.later(self.lives, self._finish)

    def died(self) -> None:
        self.core = None

    def _finish(self) -> None:
        assert self.core is not None
        self.core.stop(ApplicationState.FINISHED, "", self.host.mono())
        self.wake()

    def want(self, executors: int, profiles: tuple[Profile, ...]) -> None:
        """Dynamic allocation, of executors of several sizes."""
        if self.core is not None and self.core.app_id:
            message = RequestExecutors(request=0, app_id=self.core.app_id, executor_limit=executors, profiles=profiles)
            self.core.call(message, self.host.mono())
            self.wake()

    def kill_one(self) -> None:
        core = self.core
        if core is not None and core.app_id and (living := _living(core)):
            victim = self.world.rng.choice(living)
            core.call(KillExecutors(request=0, app_id=core.app_id, executor_ids=(victim,)), self.host.mono())
            self.wake()

    # --- rounds: like the background thread of client.app ---

    def work(self) -> None:
        core = self.core
        assert core is not None
        for connection, item in self.take_inbox():
            self._take(core, connection, item)
        core.tick(self.host.mono())
        while pending := core.take_effects():
            for effect in pending:
                if self.boundary():
                    self.freeze(1.0)
                self._do(effect)
                if not self.is_alive:
                    return
        self.round_by(core.next_deadline())

    def _take(self, core: ApplicationCore, connection: Connection, item: Any) -> None:
        address = self._links.address_of(connection)
        if address is None:
            return
        if isinstance(item, Opened):
            core.handle(LinkOpened(address), self.host.mono())
        elif isinstance(item, Closed):
            self._links.closed(address)
            core.handle(LinkClosed(address, item.reason), self.host.mono())
        else:
            message = codec.to_client.decode(item)
            self.world.note(self.name, "<-", address, message)
            core.handle(LinkMessage(address, message), self.host.mono())

    def _do(self, effect: ApplicationEffect) -> None:
        if isinstance(effect, Connect):
            self._links.connect(effect.address)
        elif isinstance(effect, Disconnect):
            self._links.disconnect(effect.address)
        elif isinstance(effect, Send):
            if self._links.send(effect.address, codec.encode(effect.message)):
                self.world.note(self.name, "->", effect.address, effect.message)
        elif isinstance(effect, Registered):
            self._checks.application_registered(self, effect.app_id)
        elif isinstance(effect, (Removed, Stopped, GaveUp)):
            self.world.note(self.name, "is over:", effect)
            self._over(effect)
        elif isinstance(effect, Answered):
            self.world.note(self.name, "is answered:", effect.message)
            if self.core is not None:
                self.core.forget(effect.request)
        elif isinstance(effect, Note):
            self.world.note(self.name, "notes:", effect.text)

    def _over(self, effect: Removed | Stopped | GaveUp) -> None:
        self.is_over = True
        self._checks.application_over(self, effect)
        for address in self._links:
            self._links.disconnect(address)
        self.die("its program ends")

    def _refused(self, address: str, reason: str) -> None:
        assert self.core is not None
        self.core.handle(LinkClosed(address, reason), self.host.mono())
        self.wake()


def _living(core: ApplicationCore) -> list[int]:
    return [executor.id for executor in core.executors.all() if not executor.state.is_final]
