"""A worker's core on a bench: messages go in and come out through the real codec, time is an argument."""

from __future__ import annotations

import random
from typing import Any, TypeVar

from stoker.core.model.messages import (
    DriverStateChanged,
    LaunchDriver,
    Message,
    RegisteredWorker,
    RegisterWorker,
)
from stoker.core.model.states import DriverState
from stoker.core.model.values import Exit, Now
from stoker.core.peer.events import Connect, Send
from stoker.core.worker import effects
from stoker.core.worker.machine import WorkerCore
from stoker.core.worker.registration import WorkerIdentity
from stoker.wire import codec
from tests.support.core import driver

E = TypeVar("E")
M = TypeVar("M", bound=Message)
A, B = "a:7077", "b:7077"
D1 = "driver-20270101000000-0001"
APP = "app-20270101000000-0001"


class WorkerBench:
    def __init__(self, masters: tuple[str, ...] = (A,), cores: int = 4) -> None:
        identity = WorkerIdentity(
            id="worker-20270101000000-h-1",
            boot="b",
            host="h",
            port=1,
            cores=cores,
            memory_mib=4096,
            webui_url="",
            version="",
        )
        self.core = WorkerCore(identity, masters=masters, grace=10.0, rng=random.Random(3))
        self.mono = 100.0
        self.out: list[Any] = []

    @property
    def now(self) -> Now:
        return Now(self.mono, 1e9 + self.mono)

    def tick(self, seconds: float = 0.0) -> None:
        self.mono += seconds
        self.core.tick(self.now)
        self.collect()

    def collect(self) -> None:
        for effect in self.core.take_effects():
            if isinstance(effect, Send):
                message = codec.to_master.decode(codec.encode(effect.message))
                self.out.append(Send(effect.address, message))
            elif not isinstance(effect, effects.Log):
                self.out.append(effect)

    def say(self, message: Message, address: str = A) -> None:
        self.core.handle(address, codec.to_worker.decode(codec.encode(message)), self.now)
        self.collect()

    def sent(self, kind: type[M]) -> list[M]:
        """Messages of that kind to masters, taken out."""
        found = [e.message for e in self.out if isinstance(e, Send) and isinstance(e.message, kind)]
        self.out = [e for e in self.out if not (isinstance(e, Send) and isinstance(e.message, kind))]
        return found

    def did(self, kind: type[E]) -> list[E]:
        found = [effect for effect in self.out if isinstance(effect, kind)]
        self.out = [effect for effect in self.out if not isinstance(effect, kind)]
        return found

    def register(self, address: str = A, epoch: int = 5) -> None:
        self.tick()
        self.did(Connect)
        self.core.link_opened(address, self.now)
        self.collect()
        assert len(self.sent(RegisterWorker)) == 1
        self.say(RegisteredWorker(epoch=epoch, worker_id="w", master_url=f"spark://{address}"), address)
        assert self.core.registration.leader == address

    def launch(self, attempt: int = 1, epoch: int = 5, **more: Any) -> str:
        self.say(LaunchDriver(epoch=epoch, driver_id=D1, attempt=attempt, driver=driver(**more)))
        return f"{D1}:{attempt}"

    def run(self, **more: Any) -> str:
        key = self.launch(**more)
        assert [effect.job.key for effect in self.did(effects.Prepare)] == [key]
        self.core.prepared(key, self.now)
        self.collect()
        assert [effect.job.key for effect in self.did(effects.SpawnJob)] == [key]
        self.core.started(key, 42, self.now)
        self.collect()
        (report,) = self.sent(DriverStateChanged)
        assert (report.state, report.pid) == (DriverState.RUNNING, 42)
        return key

    def ends(self, key: str, **exit: Any) -> None:
        self.core.exited(key, Exit(**exit), self.now)
        self.collect()
