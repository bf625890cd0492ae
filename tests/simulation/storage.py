"""What survives a master: a disk or ZooKeeper's records, behind the real ``RecoveryEngine`` contract; and the elections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from stoker.leader.base import Candidate, Elected, Follow, Frozen, LeadershipEvent, Revoked, Roster, Thawed
from stoker.recovery.base import RecoveryEngine, StorageFailed, Superseded
from tests.simulation.network import Network, Process
from tests.simulation.world import Host, World

NOTICE = 2 / 3  # of the session timeout: after so long in silence a ZooKeeper client may be deposed

OnWrite = Callable[[int, Mapping[str, bytes | None], dict[str, bytes]], None]


@dataclass
class Store:
    """The true content, the same for all masters of a run. ``on_write`` sees each write before it is applied."""

    on_write: OnWrite
    records: dict[str, bytes] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)  # lost by the medium; they are not checked any more
    is_full: bool = False
    last_epoch: int = 0  # of AloneLeadership

    def write(self, epoch: int, writes: Mapping[str, bytes | None]) -> None:
        self.on_write(epoch, writes, self.records)
        for key, value in writes.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value


class Engine(RecoveryEngine):
    """One master's connection to the store."""

    def __init__(self, store: Store, epoch: int, *, durable: bool) -> None:
        self.store, self.epoch, self.is_durable = store, epoch, durable

    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        if self.store.is_full:
            raise StorageFailed("no space left on device")
        self.store.write(self.epoch, writes)

    def read(self) -> dict[str, bytes]:
        return dict(self.store.records) if self.is_durable else {}

    def quarantine(self, key: str, reason: str) -> None:
        self.store.damaged.add(key)
        self.store.records.pop(key, None)

    def close(self) -> None:
        """Nothing to release."""


class FencedEngine(Engine):
    """ZooKeeper's records: each write is conditional on the epoch, and needs a connection."""

    def __init__(self, store: Store, epoch: int, ensemble: Ensemble, owner: Process) -> None:
        super().__init__(store, epoch, durable=True)
        self._ensemble, self._owner = ensemble, owner

    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        self._ensemble.must_hear(self._owner)
        self.check_fence()
        self.store.write(self.epoch, writes)
        self._ensemble.must_answer(self._owner)

    def read(self) -> dict[str, bytes]:
        self._ensemble.must_hear(self._owner)
        self._ensemble.must_answer(self._owner)
        return super().read()

    def check_fence(self) -> None:
        if self.epoch != self._ensemble.epoch:
            raise Superseded(f"epoch {self.epoch} is over, now is {self._ensemble.epoch}")


@dataclass(eq=False)
class Session:
    """``owner`` stands for election as ``address``."""

    owner: Process
    address: str
    on_event: Callable[[LeadershipEvent], None]
    heard: float
    is_frozen: bool = False  # its owner was notified that it may have been deposed

    def __post_init__(self) -> None:
        self._incarnation = self.owner.incarnation

    @property
    def is_kept(self) -> bool:
        """Return whether its owner runs, and has not been restarted since."""
        owner = self.owner
        return owner.is_alive and owner.incarnation == self._incarnation and not owner.is_frozen


class Ensemble:
    """ZooKeeper: sessions, the election, and the epoch on record. Its clients' threads report to their masters."""

    def __init__(self, world: World, network: Network, session_timeout: float) -> None:
        self.host = Host(world, "zk")
        self.epoch = 0
        self.timeout = session_timeout
        self._world, self._network = world, network
        self._sessions: list[Session] = []  # in the order of their election nodes
        self._ended: list[Session] = []  # whose owners do not know it yet
        self._leader: Session | None = None
        world.after(session_timeout / 8, self._check)

    def join(self, owner: Process, address: str, on_event: Callable[[LeadershipEvent], None]) -> Session:
        session = Session(owner, address, on_event, self._world.now)
        self._world.after(self._world.latency(), lambda: self._enrol(session))
        return session

    def _enrol(self, session: Session) -> None:
        if self._reaches(session):
            self._sessions.append(session)
            self._elect()
            self._tell_all()
        elif session.is_kept:
            self._world.after(1.0, lambda: self._enrol(session))

    def leave(self, session: Session) -> None:
        """Expire at once: its owner closed it, or a standby saw the owner's process exit."""
        self._expire(session)

    def expire_leader(self) -> bool:
        """A fault: the session is lost although its owner is alive and connected."""
        if self._leader is None:
            return False
        session = self._leader
        self._expire(session)
        self._ended.append(session)
        return True

    def _expire(self, session: Session) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
        if session is self._leader:
            self._leader = None
            self._elect()
        self._tell_all()

    def _elect(self) -> None:
        if self._leader is not None or not self._sessions:
            return
        session = self._leader = self._sessions[0]
        self.epoch += 1
        self._world.note("zk", f"{session.owner.name} leads with epoch {self.epoch}")
        self._tell(session, Elected(self.epoch))

    def _tell(self, session: Session, event: LeadershipEvent) -> None:
        self._world.after(self._world.latency(), lambda: session.on_event(event))

    def _tell_all(self) -> None:
        """Fire the watches: who leads, and the other candidates."""
        leader = Candidate(self._leader.address) if self._leader is not None else None
        roster = Roster(tuple(sorted(session.address for session in self._sessions)))
        for session in self._sessions:
            self._tell(session, roster if session is self._leader else Follow(leader))

    def _check(self) -> None:
        now = self._world.now
        for session in list(self._sessions):
            if self._reaches(session):
                session.heard = now
                if session.is_frozen:
                    session.is_frozen = False
                    self._tell(session, Thawed())
            elif now - session.heard > self.timeout:
                self._expire(session)
                self._ended.append(session)
            elif now - session.heard > self.timeout * NOTICE and not session.is_frozen and not session.owner.is_frozen:
                session.is_frozen = True
                session.on_event(Frozen("ZooKeeper does not answer"))
        for session in list(self._ended):  # the owner learns it when connected again, and a little later
            if self._reaches(session):
                self._ended.remove(session)
                delay = self._world.rng.choice((0.001, 0.05, 0.5))
                self._world.after(delay, partial(session.on_event, Revoked("its session has ended")))
        self._world.after(self.timeout / 8, self._check)

    def _reaches(self, session: Session) -> bool:
        return session.is_kept and self._hears(session.owner) and self._answers(session.owner)

    def _hears(self, owner: Process) -> bool:
        return owner.host.is_up and (owner.host.name, self.host.name) not in self._network.blocked

    def _answers(self, owner: Process) -> bool:
        return (self.host.name, owner.host.name) not in self._network.blocked

    def must_hear(self, owner: Process) -> None:
        if not self._hears(owner):
            raise StorageFailed("ZooKeeper is not connected")

    def must_answer(self, owner: Process) -> None:
        if not self._answers(owner):
            raise StorageFailed("ZooKeeper does not answer")
