"""A client: what ``client.session.Session`` does (one master at a time, unanswered requests asked again of the next one),
for somebody who submits, kills and watches drivers."""

from __future__ import annotations

from typing import Any

from stoker.core.model.messages import DriverUpdate, Failed, KillJob, Message, SubmitDriver, Submitted, WatchDriver
from stoker.core.model.values import DriverDescription
from stoker.wire import codec
from tests.simulation.checks import Checks
from tests.simulation.links import Links
from tests.simulation.network import Closed, Connection, Network, Opened
from tests.simulation.process import Node
from tests.simulation.world import Host, Timer, World

ANSWER_WITHIN = 10.0


class Client(Node):
    def __init__(self, world: World, network: Network, host: Host, *, masters: tuple[str, ...], checks: Checks) -> None:
        super().__init__(world, network, host, host.name)
        self.asked: dict[int, Message] = {}  # unanswered
        self.submitted: list[str] = []  # acknowledged, in order
        self._masters, self._checks = masters, checks
        self._links = Links(self, "client", self._refused)
        self._number = 0
        self._next = 0
        self._current: str | None = None
        self._silence: Timer | None = None

    def started(self) -> None:
        """A new process knows nothing of what the one before had asked."""
        self.asked.clear()
        self._links = Links(self, "client", self._refused)
        self._current = None
        self._connect()

    # --- what its user does ---

    def submit(self, driver: DriverDescription) -> None:
        self._number += 1
        token = f"token-{self.name}-{self._number}"
        self._ask(SubmitDriver(request=self._number, token=token, driver=driver, watch=self.world.rng.random() < 0.3))

    def kill(self, job_id: str) -> None:
        self._number += 1
        self._ask(KillJob(request=self._number, id=job_id))

    def watch(self, driver_id: str) -> None:
        self._number += 1
        self._ask(WatchDriver(request=self._number, driver_id=driver_id))

    def _ask(self, message: Any) -> None:
        self.asked[message.request] = message
        self._checks.asked(self, message)
        if self._current is not None:
            self._send(message)

    def _send(self, message: Message) -> None:
        assert self._current is not None
        for _ in range(1 if self.world.rng.random() < 0.9 else 2):  # impatient: twice
            if self._links.send(self._current, codec.encode(message)):
                self.world.note(self.name, "->", self._current, message)
        self._expect_answer()

    # --- connections ---

    def _connect(self) -> None:
        self._current = None
        self._links.connect(self._masters[self._next % len(self._masters)])
        self._expect_answer()

    def _elsewhere(self, leader: str = "") -> None:
        for address in self._links:
            self._links.disconnect(address)
        self._current = None
        self._next = self._masters.index(leader) if leader in self._masters else self._next + 1
        self.later(0.1 + 0.4 * self.world.rng.random(), self._connect)

    def _refused(self, address: str, reason: str) -> None:
        self._elsewhere()

    def _expect_answer(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
        incarnation = self.incarnation
        self._silence = self.world.after(ANSWER_WITHIN, lambda: self._is_silent(incarnation))

    def _is_silent(self, incarnation: int) -> None:
        if not self.is_alive or self.incarnation != incarnation:
            return
        owed = any(not isinstance(message, WatchDriver) for message in self.asked.values())
        if owed or self._current is None:
            self._elsewhere()

    # --- rounds ---

    def work(self) -> None:
        for connection, item in self.take_inbox():
            self._take(connection, item)

    def _take(self, connection: Connection, item: Any) -> None:
        address = self._links.address_of(connection)
        if address is None:
            return
        if isinstance(item, Opened):
            self._current = address
            for message in list(self.asked.values()):
                self._send(message)
        elif isinstance(item, Closed):
            self._links.closed(address)
            self._elsewhere()
        else:
            self._hear(codec.to_client.decode(item))

    def _hear(self, answer: Any) -> None:
        self.world.note(self.name, "<-", answer)
        if isinstance(answer, Failed) and answer.code == "not-leader":
            if answer.request in self.asked:
                self._elsewhere(answer.leader)
            return
        question = self.asked.get(answer.request)
        if isinstance(answer, Submitted) and answer.driver_id not in self.submitted:
            self.submitted.append(answer.driver_id)
        if question is not None:
            self._checks.answered(self, question, answer)
            if not isinstance(answer, DriverUpdate) or answer.driver.state.is_final:
                del self.asked[answer.request]
        if self.asked:
            self._expect_answer()
