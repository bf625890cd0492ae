"""A master's core on a bench. Messages go in and come out through the real codec, time is an argument, and a test can
check that *nothing else* happened."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from stoker.core.master.effects import ForgetRecord, Gone, Invite, Log, Persist, Received, Send
from stoker.core.master.invariants import violations
from stoker.core.master.machine import MasterCore
from stoker.core.model.messages import (
    ApplicationHeartbeat,
    DriverStateChanged,
    ExecutorStateChanged,
    LaunchDriver,
    LaunchExecutor,
    Message,
    Reconnect,
    RegisterApplication,
    RegisterWorker,
    SubmitDriver,
    WorkerHeartbeat,
)
from stoker.core.model.policy import Policy
from stoker.core.model.pools import Pools
from stoker.core.model.states import DriverState, ExecutorState, Role
from stoker.core.model.values import ApplicationDescription, Artifact, Command, DriverDescription, Exit, Now
from stoker.recovery.records import decode_record, encode_record
from stoker.wire import codec

M = TypeVar("M", bound=Message)
WALL = 1_800_000_000.0
_DIRECTIONS: dict[bytes, codec.Decoder[Any]] = {b"w": codec.to_worker, b"c": codec.to_client}


@dataclass
class Bench:
    """``store`` is what a durable engine would hold. ``inbox`` has, for each peer, the sent messages that no test has taken
    yet.

    Peers named ``w...`` are workers, ``c...`` clients; the name is the connection.
    """

    policy: Policy = field(default_factory=Policy)
    seed: int = 1
    epoch: int = 7
    secret: bytes = b""  # for the seals of launches
    pools: Pools = field(default_factory=Pools)

    def __post_init__(self) -> None:
        self.mono = 1000.0
        self.store: dict[str, bytes] = {}
        self.inbox: dict[str, list[Any]] = {}
        self.log: list[str] = []
        self.limited: list[str] = []  # the lines of the log that the shell limits
        self.invited: list[str] = []  # applications whose Spark driver must be notified of this master
        self.core = self._core()

    def _core(self) -> MasterCore:
        core = MasterCore(
            policy=self.policy, epoch=self.epoch, url="spark://m:7077", rng=random.Random(self.seed), secret=self.secret
        )
        core.pools_are(self.pools, self.now)
        return core

    @property
    def now(self) -> Now:
        return Now(self.mono, WALL + self.mono)

    def restart(self, *, keep: bool) -> None:
        """Start a new master; with ``keep`` it recovers from the records of the old one."""
        self.epoch += 1
        self.inbox.clear()
        if not keep:
            self.store.clear()
        self.core = self._core()
        self._apply(self.core.recover({key: decode_record(key, data) for key, data in self.store.items()}, self.now))
        self._apply(self.core.finish_batch(self.now))

    def send(self, peer: str, message: Message, *, key: str = "k1", role: Role | None = None) -> None:
        """Send one message in its own batch."""
        self.batch([(peer, message)], key=key, role=role)

    def batch(self, messages: list[tuple[str, Message]], *, key: str = "k1", role: Role | None = None) -> None:
        for peer, message in messages:
            decoded = codec.to_master.decode(codec.encode(message))
            who = role or (Role.WORKER if peer.startswith("w") else Role.CLIENT)
            self.core.handle(Received(peer.encode(), key, who, decoded, principal=key), self.now)
        self._apply(self.core.finish_batch(self.now))
        check_books(self.core)

    def gone(self, peer: str) -> None:
        self.core.handle(Gone(peer.encode()), self.now)
        self._apply(self.core.finish_batch(self.now))
        check_books(self.core)

    def wait(self, seconds: float) -> None:
        """Let time pass, waking the core at each of its deadlines."""
        end = self.mono + seconds
        while self.core.next_deadline() <= end:
            self.mono = max(self.mono, self.core.next_deadline())
            self._apply(self.core.finish_batch(self.now))
            check_books(self.core)
        self.mono = end
        self._apply(self.core.finish_batch(self.now))
        check_books(self.core)

    def live(self, seconds: float) -> None:
        """Let time pass with every connected worker and application sending its heartbeats."""
        end = self.mono + seconds
        while self.mono < end:
            for peer, worker_id in list(self.core.ctx.books.worker_of_peer.items()):
                self.send(peer.decode(), WorkerHeartbeat(worker_id=worker_id))
            for peer, app_ids in list(self.core.ctx.books.app_of_peer.items()):
                self.batch([(peer.decode(), ApplicationHeartbeat(app_id=app_id)) for app_id in app_ids])
            self.wait(min(5.0, end - self.mono))

    def _apply(self, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                self.store[effect.key] = encode_record(effect.record)
            elif isinstance(effect, ForgetRecord):
                self.store.pop(effect.key, None)
            elif isinstance(effect, Invite):
                self.invited.append(effect.app_id)
            elif isinstance(effect, Log):
                self.log.append(effect.text)
                if effect.peer:
                    self.limited.append(effect.text)
            elif isinstance(effect, Send):
                decoder = _DIRECTIONS[effect.peer[:1]]
                self.inbox.setdefault(effect.peer.decode(), []).append(decoder.decode(codec.encode(effect.message)))

    # --- taking the messages out ---

    def take(self, peer: str, kind: type[M]) -> M:
        """Take the next message to that peer; it must be of that kind."""
        waiting = self.inbox.get(peer, [])
        assert waiting, f"nothing was sent to {peer}, expected {kind.__name__}"
        message = waiting.pop(0)
        assert isinstance(message, kind), f"{peer} got {message!r}, expected {kind.__name__}"
        return message

    def take_all(self, peer: str, kind: type[M]) -> list[M]:
        """Take all messages of that kind to that peer; others stay."""
        waiting = self.inbox.get(peer, [])
        self.inbox[peer] = [message for message in waiting if not isinstance(message, kind)]
        return [message for message in waiting if isinstance(message, kind)]

    def nothing_else(self) -> None:
        left = {peer: messages for peer, messages in self.inbox.items() if messages}
        assert not left, f"unexpected messages: {left}"

    # --- short forms ---

    def worker(self, peer: str, cores: int = 4, memory: int = 4096, **more: Any) -> str:
        """Register a worker; returns its id."""
        number = int(peer.rstrip("'").lstrip("w") or 0)
        worker_id: str = more.pop("worker_id", f"worker-20270101000000-h{number}-{4000 + number}")
        message = RegisterWorker(
            worker_id=worker_id, boot="b", host=f"h{number}", port=4000 + number, cores=cores, memory_mib=memory, **more
        )
        self.send(peer, message)
        if self.take_all(peer, Reconnect):  # an earlier master's worker, which does not know this master's epoch
            self.send(peer, msgspec.structs.replace(message, highest_epoch=self.epoch))
        return worker_id

    def submit(self, peer: str = "c1", **more: Any) -> str:
        """Submit a driver; return its id. Only messages that come after it stay in the submitter's inbox."""
        from stoker.core.model.messages import Submitted

        token = more.pop("token", f"t{self.core.ctx.books.counters.drivers}")
        watch = more.pop("watch", False)
        self.send(peer, SubmitDriver(request=1, token=token, driver=driver(**more), watch=watch))
        answers = self.take_all(peer, Submitted)
        assert len(answers) == 1
        return answers[0].driver_id

    def application(self, peer: str = "c1", **more: Any) -> str:
        from stoker.core.model.messages import RegisteredApplication

        token = more.pop("token", f"a{self.core.ctx.books.counters.apps}")
        app_id = more.pop("app_id", "")
        highest = more.pop("highest_executor_id", -1)
        message = RegisterApplication(
            request=1, token=token, app=application(**more), app_id=app_id, highest_executor_id=highest
        )
        self.send(peer, message)
        answers = self.take_all(peer, RegisteredApplication)
        assert len(answers) == 1
        return answers[0].app_id

    def driver_is(self, peer: str, launch: LaunchDriver, state: DriverState, **exit: Any) -> None:
        worker_id = self.core.ctx.books.worker_of_peer[peer.encode()]
        pid = 100 if state is DriverState.RUNNING else 0
        self.send(
            peer,
            DriverStateChanged(
                worker_id=worker_id,
                driver_id=launch.driver_id,
                attempt=launch.attempt,
                state=state,
                pid=pid,
                exit=Exit(**exit),
            ),
        )

    def executor_is(self, peer: str, launch: LaunchExecutor, state: ExecutorState, **exit: Any) -> None:
        worker_id = self.core.ctx.books.worker_of_peer[peer.encode()]
        self.send(
            peer,
            ExecutorStateChanged(
                worker_id=worker_id,
                app_id=launch.app_id,
                executor_id=launch.executor_id,
                state=state,
                pid=100 if state is ExecutorState.RUNNING else 0,
                exit=Exit(**exit),
            ),
        )


def driver(**more: Any) -> DriverDescription:
    artifacts = more.pop("artifacts", (Artifact(name="job", url="file:/bin/true"),))
    return DriverDescription(kind="program", main="job", artifacts=artifacts, **more)


def application(**more: Any) -> ApplicationDescription:
    command = more.pop("command", None) or Command(argv=("run",))
    return ApplicationDescription(name=more.pop("name", "app"), command=command, **more)


def check_books(core: MasterCore) -> None:
    """Check the books: counters equal a recount, nothing is over-committed, everybody is in exactly the tables they belong
    to."""
    assert violations(core.ctx.books) == []
