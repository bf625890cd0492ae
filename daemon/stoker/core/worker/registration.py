"""A worker's registration: with which master, how it comes to it and stays so (spec 9.1). Times: monotonic seconds.

It is tried for ever, with all masters that are known: a cluster must not need hands because its master was away (quirk 13).
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
from stoker.core.peer.masters import BACKOFF_CAP, CONNECT_TIMEOUT, NEVER, LinkState, Master, Masters, Rng
from stoker.core.worker.effects import Connect, Disconnect, Log, SendMaster, WorkerEffect


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


class Registration:
    """``emit`` takes its effects; ``describe`` is what the worker says of itself, with the highest epoch it has seen."""

    def __init__(
        self,
        worker_id: str,
        masters: tuple[str, ...],
        rng: Rng,
        *,
        emit: Callable[[WorkerEffect], None],
        describe: Callable[[int], RegisterWorker],
    ) -> None:
        self.leader: str | None = None  # address of the master the worker is registered with
        self.epoch = 0  # the highest seen
        self.master_url = ""
        self.master_webui_url = ""
        self._worker_id = worker_id
        self._masters = Masters(masters, rng)
        self._emit = emit
        self._describe = describe
        self._heartbeat_interval = 15.0
        self._heartbeat_at = NEVER

    def _log(self, text: str, level: int = logging.INFO) -> None:
        self._emit(Log(level, text))

    def send(self, message: Message) -> None:
        """To the leader, if there is one."""
        if self.leader is not None:
            self._emit(SendMaster(self.leader, message))

    def register(self, address: str) -> None:
        self._emit(SendMaster(address, self._describe(self.epoch)))

    # --- time and connections ---

    def next_deadline(self) -> float:
        return min(self._heartbeat_at, *(master.due for master in self._masters))

    def tick(self, now: float) -> None:
        for master in self._masters:
            if now >= master.due:
                self._mind(master, now)
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat_interval
            self.send(WorkerHeartbeat(worker_id=self._worker_id))

    def _mind(self, master: Master, now: float) -> None:
        """Something is due about this master: connect, give up connecting, or ask a standby again."""
        if master.link is LinkState.WAITING:
            master.link, master.due = LinkState.CONNECTING, now + CONNECT_TIMEOUT
            self._emit(Connect(master.address))
        elif master.link is LinkState.CONNECTING:
            self._hang_up(master.address, "no answer", now)
        else:
            master.due = NEVER
            self.register(master.address)

    def link_opened(self, address: str) -> None:
        master = self._masters.get(address)
        if master is not None:
            master.link, master.due = LinkState.OPEN, NEVER
            self.register(address)

    def link_closed(self, address: str, reason: str, *, denied: bool, now: float) -> None:
        master = self._masters.get(address)
        if master is None:
            return
        self._masters.failed(master, now, reason, denied=denied)
        if address == self.leader:
            self.leader, self._heartbeat_at = None, NEVER
            self._log(f"lost the master at {address}: {reason}", logging.WARNING)
            for other in self._masters:  # one of them leads now, or soon, and will say so
                if other.link is LinkState.OPEN:
                    other.due = min(other.due, now + BACKOFF_CAP)
        elif master.failures == 1:
            self._log(f"cannot register: {reason}; trying again", logging.WARNING)

    def _hang_up(self, address: str, why: str, now: float) -> None:
        self._emit(Disconnect(address))
        self.link_closed(address, why, denied=False, now=now)

    # --- what masters say ---

    def believes(self, address: str, message: Message) -> bool:
        """A message with an epoch below the highest seen is refused: it comes from a master that does not lead any more
        (docs/protocol.md)."""
        epoch = getattr(message, "epoch", None)
        if epoch is None:
            return True
        if epoch < self.epoch:
            kind = type(message).__name__
            self._log(f"refused {kind} of {address}: epoch {epoch} is over, now is {self.epoch}", logging.WARNING)
            if isinstance(message, RegisteredWorker):
                self.register(address)  # by our highest epoch it learns that it leads us no more
            return False
        self.epoch = epoch
        return True

    def registered(self, address: str, message: RegisteredWorker, now: float) -> None:
        before, self.leader = self.leader, address
        if before is not None and before != address:
            self._log(f"the leader is now {message.master_url}")
            self.register(before)  # should it believe that it still leads
        master = self._masters.get(address)
        if master is not None:
            master.failures, master.due = 0, NEVER
        self._masters.tell(message.masters, now)
        self.master_url, self.master_webui_url = message.master_url, message.webui_url
        self._heartbeat_interval = max(0.01, message.heartbeat_interval)
        self._heartbeat_at = now + self._heartbeat_interval
        self._log(f"registered with {message.master_url}")

    def handle(self, address: str, message: Message, now: float) -> None:
        """What is not about jobs."""
        if isinstance(message, RegisterWorkerFailed):
            self._log(f"the master at {address} refused to register this worker: {message.reason}", logging.WARNING)
            self._hang_up(address, message.reason, now)
        elif isinstance(message, Failed):
            self._failed(address, message, now)
        elif isinstance(message, Reconnect):
            self.register(address)
        elif isinstance(message, MastersChanged) and address == self.leader:
            self._masters.tell(message.masters, now)

    def _failed(self, address: str, message: Failed, now: float) -> None:
        master = self._masters.get(address)
        if message.code == "not-leader" and master is not None:
            if message.leader:
                self._masters.learn(message.leader, now)
            if address == self.leader:
                self.leader, self._heartbeat_at = None, NEVER
            again = self._masters.next_try(master, now)
            # With a leader there is no hurry: a standby that comes to lead says so.
            master.due = again if self.leader is None else now + self._heartbeat_interval
        else:
            self._log(f"the master at {address} says: {message.reason}", logging.WARNING)
            self._hang_up(address, message.reason, now)
