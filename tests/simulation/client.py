"""A client's process: the real core in the shell of ``stoker.client.session``, for a user who submits, kills and watches
drivers."""

from __future__ import annotations

import random
from typing import Any

from stoker.core.model.changes import JobChange
from stoker.core.model.messages import (
    DriverUpdate,
    HoldJob,
    KillJob,
    Message,
    SubmitDriver,
    Submitted,
    UpdateJob,
    WatchDriver,
)
from stoker.core.model.values import DriverDescription
from stoker.core.peer.asking import Asking, AskingEffect
from stoker.core.peer.events import Answered, Connect, Disconnect, LinkClosed, LinkMessage, LinkOpened, Send
from stoker.wire import codec
from tests.simulation.checks import Checks
from tests.simulation.links import Links
from tests.simulation.network import Closed, Connection, Network, Opened
from tests.simulation.process import Node
from tests.simulation.world import Host, World

TIMEOUT = 20.0  # seconds; after that the user asks again


class Client(Node):
    def __init__(self, world: World, network: Network, host: Host, *, masters: tuple[str, ...], checks: Checks,
                 role: str = "client") -> None:  # fmt: skip
        super().__init__(world, network, host, host.name)
        self.asked: dict[int, Message] = {}  # unanswered, by request number
        self.submitted: list[str] = []  # acknowledged, in order
        self.core: Asking | None = None
        self._masters, self._checks = masters, checks
        self._role = role
        self._links = Links(self, role, self._refused)
        self._tokens = 0

    def started(self) -> None:
        """A new process does not know the requests of the process before."""
        self.asked.clear()
        self._links = Links(self, self._role, self._refused)
        self.core = Asking(self._masters, random.Random(self.world.rng.getrandbits(32)), timeout=TIMEOUT)

    def died(self) -> None:
        self.core = None

    # --- its user's actions ---

    def submit(self, driver: DriverDescription) -> None:
        self._tokens += 1
        token = f"token-{self.name}-{self._tokens}"
        self._ask(SubmitDriver(request=0, token=token, driver=driver, watch=self.world.rng.random() < 0.3))

    def kill(self, job_id: str) -> None:
        self._ask(KillJob(request=0, id=job_id))

    def hold(self, job_id: str, *, hold: bool) -> None:
        self._ask(HoldJob(request=0, id=job_id, hold=hold))

    def update(self, job_id: str, change: JobChange) -> None:
        self._ask(UpdateJob(request=0, id=job_id, change=change))

    def watch(self, driver_id: str) -> None:
        self._ask(WatchDriver(request=0, driver_id=driver_id), prompt=False)

    def _ask(self, message: Any, *, prompt: bool = True) -> None:
        assert self.core is not None
        number = self.core.ask(message, self.host.mono(), prompt=prompt).number
        self.asked[number] = message
        self._checks.asked(self, number, message)
        self.wake()

    # --- rounds: like ``Session.pump`` ---

    def work(self) -> None:
        core = self.core
        assert core is not None
        for connection, item in self.take_inbox():
            self._take(core, connection, item)
        core.tick(self.host.mono())
        while pending := core.take_effects():
            for effect in pending:
                self._do(core, effect)
        self.round_by(core.next_deadline())

    def _take(self, core: Asking, connection: Connection, item: Any) -> None:
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

    def _do(self, core: Asking, effect: AskingEffect) -> None:
        if isinstance(effect, Connect):
            self._links.connect(effect.address)
        elif isinstance(effect, Disconnect):
            self._links.disconnect(effect.address)
        elif isinstance(effect, Send):
            for _ in range(1 if self.world.rng.random() < 0.9 else 2):  # impatient: twice
                if self._links.send(effect.address, codec.encode(effect.message)):
                    self.world.note(self.name, "->", effect.address, effect.message)
        elif isinstance(effect, Answered):
            self._answered(core, effect.request, effect.message)
        else:
            self.world.note(self.name, "is told:", effect)

    def _answered(self, core: Asking, number: int, answer: Message) -> None:
        question = self.asked.get(number)
        if question is None:  # it was sent twice, and is already answered
            return
        if isinstance(answer, Submitted) and answer.driver_id not in self.submitted:
            self.submitted.append(answer.driver_id)
        self._checks.answered(self, question, answer)
        if not isinstance(answer, DriverUpdate) or answer.driver.state.is_final:
            del self.asked[number]
            core.forget(number)

    def _refused(self, address: str, reason: str) -> None:
        assert self.core is not None
        self.core.handle(LinkClosed(address, reason), self.host.mono())
        self.wake()
