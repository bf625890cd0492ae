"""A worker's registration with the leading master (spec 9.1). Times: monotonic seconds.

It is tried indefinitely, with all masters that are known: a cluster must recover without an operator.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from stoker.core.model.messages import (
    Failed,
    MastersChanged,
    Message,
    Reconnect,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    WorkerHeartbeat,
)
from stoker.core.model.resources import Addresses
from stoker.core.model.values import DrainMark, DriverReport, ExecutorReport, Rng, Unfit
from stoker.core.peer.following import Following
from stoker.core.peer.masters import Master, sane_interval
from stoker.core.worker.effects import Log, WorkerEffect


@dataclass(frozen=True, kw_only=True)
class WorkerIdentity:
    id: str
    boot: str
    host: str
    port: int
    cores: int
    memory_mib: int
    webui_url: str
    version: str
    resources: Addresses = ()  # named ones that it offers, as GPUs
    limits: str = ""  # as in ``RegisterWorker``
    run_as: str = ""  # likewise

    def registration(
        self,
        highest_epoch: int,
        *,
        drivers: tuple[DriverReport, ...],
        executors: tuple[ExecutorReport, ...],
        drain: DrainMark,
        heir_of: tuple[str, ...],
        lost: tuple[tuple[str, int], ...],
        unfit: tuple[Unfit, ...],
        seal: str,
    ) -> RegisterWorker:
        """The message that registers this worker, with what runs on it."""
        return RegisterWorker(
            worker_id=self.id,
            boot=self.boot,
            host=self.host,
            port=self.port,
            cores=self.cores,
            memory_mib=self.memory_mib,
            webui_url=self.webui_url,
            version=self.version,
            highest_epoch=highest_epoch,
            drivers=drivers,
            executors=executors,
            drain=drain,
            heir_of=heir_of,
            lost=lost,
            resources=self.resources,
            unfit=unfit,
            seal=seal,
            limits=self.limits,
            run_as=self.run_as,
        )


class Registration:
    """``emit`` takes the effects; ``describe`` returns the registration, given the highest epoch seen,
    ``unfit`` what is wrong with this host."""

    def __init__(
        self,
        worker_id: str,
        masters: tuple[str, ...],
        rng: Rng,
        *,
        emit: Callable[[WorkerEffect], None],
        describe: Callable[[int], RegisterWorker],
        unfit: Callable[[], tuple[Unfit, ...]],
    ) -> None:
        self._id = worker_id
        self.epoch = 0  # the highest seen
        self.seal = ""  # of the worker's id, from the master that registered it last
        self.master_url = ""
        self.master_webui_url = ""
        self.keeper_release = ""  # if it is another than this worker's
        self.users_fault = ""  # of ``users.yml``, while the file before the fault is obeyed
        self._following = Following(masters, rng, self, emit)
        self._emit = emit
        self._describe = describe
        self._unfit = unfit

    @property
    def leader(self) -> str | None:
        """Address of the master the worker is registered with."""
        leader = self._following.leader
        return leader.address if leader is not None else None

    def send(self, message: Message) -> None:
        """Send to the leader, if there is one."""
        if (leader := self._following.leader) is not None:
            self._following.send(leader, message)

    def _log(self, text: str, level: int = logging.INFO) -> None:
        self._emit(Log(level, text))

    def keeper_is(self, release: str) -> None:
        """Report the release of the worker's keeper at once, if it has changed."""
        if release != self.keeper_release:
            self.keeper_release = release
            self.beat()

    def users_file_is(self, fault: str) -> None:
        """Report a fault of ``users.yml`` at once, or that it has gone."""
        if fault != self.users_fault:
            self.users_fault = fault
            self._log(f"{fault}; the users.yml before this fault is obeyed" if fault else "users.yml is obeyed again")
            self.beat()

    # --- time and links ---

    def next_deadline(self) -> float:
        return self._following.next_deadline()

    def tick(self, now: float) -> None:
        self._following.tick(now)

    def link_opened(self, address: str, now: float) -> None:
        self._following.opened(address, now)

    def link_closed(self, address: str, reason: str, *, denied: bool, now: float) -> None:
        led = address == self.leader
        self._following.closed(address, reason, now, denied=denied)
        master = self._following.masters.get(address)
        if not led and master is not None and master.failures == 1:
            self._log(f"cannot register: {reason}; trying again", logging.WARNING)

    # What ``Following`` asks for:

    def introduce(self, master: Master, now: float) -> None:
        """Register."""
        self._following.send(master, self._describe(self.epoch))

    def lost(self, master: Master, reason: str) -> None:
        self._log(f"lost the master at {master.address}: {reason}", logging.WARNING)

    def beat(self) -> None:
        release, fault = self.keeper_release, self.users_fault
        self.send(WorkerHeartbeat(worker_id=self._id, keeper_release=release, unfit=self._unfit(), users_fault=fault))

    def gave_up(self) -> None:
        """Never called: a worker tries indefinitely."""

    # --- messages from masters ---

    def believes(self, address: str, message: Message, now: float) -> bool:
        """A message with an epoch below the highest seen is rejected: it comes from a master that no longer leads
        (docs/protocol.md)."""
        epoch = getattr(message, "epoch", None)
        if epoch is None:
            return True
        if epoch < self.epoch:
            kind = type(message).__name__
            self._log(f"refused {kind} of {address}: epoch {epoch} is over, now is {self.epoch}", logging.WARNING)
            master = self._following.masters.get(address)
            if isinstance(message, RegisteredWorker) and master is not None:
                self.introduce(master, now)  # from our highest epoch it learns that it no longer leads
            return False
        self.epoch = epoch
        return True

    def registered(self, address: str, message: RegisteredWorker, now: float) -> None:
        following = self._following
        before, master = following.leader, following.masters.get(address)
        if master is None:
            return
        following.follow(master, sane_interval(message.heartbeat_interval), now)
        following.served(master, now)
        if before is not None and before is not master:
            self._log(f"the leader is now {message.master_url}")
            self.introduce(before, now)  # in case it believes that it still leads
        following.masters.update(message.masters, now)
        self.seal = message.seal or self.seal
        self.master_url, self.master_webui_url = message.master_url, message.webui_url
        self._log(f"registered with {message.master_url}")
        if self.keeper_release or self.users_fault:
            self.beat()

    def handle(self, address: str, message: Message, now: float) -> None:
        """Handle a message that is not about jobs."""
        master = self._following.masters.get(address)
        if master is None:
            return
        if isinstance(message, RegisterWorkerFailed):
            self._log(f"the master at {address} refused to register this worker: {message.reason}", logging.WARNING)
            self._following.drop(master, message.reason, now)
        elif isinstance(message, Failed) and message.code == "not-leader":
            self._following.not_leader(master, message, now)
        elif isinstance(message, Failed):
            self._log(f"the master at {address} says: {message.reason}", logging.WARNING)
            self._following.drop(master, message.reason, now)
        elif isinstance(message, Reconnect):
            self.introduce(master, now)
        elif isinstance(message, MastersChanged) and address == self.leader:
            self._following.masters.update(message.masters, now)
