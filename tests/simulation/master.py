"""A master: the real core in the shells of ``stoker.master.standby`` and ``stoker.master.daemon``. Batches are taken
apart, so that it can freeze or die between any two effects, and its store takes time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stoker.core.master import effects as core_effects
from stoker.core.master import machine as core
from stoker.core.master.effects import Effect, Log, Send, batch_of
from stoker.core.model.messages import Failed, Message, RegisterApplication, RegisterWorker
from stoker.core.model.policy import Policy
from stoker.core.model.pools import Pools
from stoker.core.model.states import MasterState, Role
from stoker.io.sockets import Garbage, Incoming, PeerGone
from stoker.leader.base import Candidate, Elected, Follow, Frozen, LeadershipEvent, Revoked, Roster, Thawed
from stoker.master.daemon import BATCH, WRITE_AGAIN
from stoker.master.pause import Pause
from stoker.recovery.base import StorageFailed, Superseded
from stoker.recovery.records import encode_writes, read_records
from stoker.wire import codec
from tests.simulation.checks import Checks
from tests.simulation.checks_dry_run import rehearse
from tests.simulation.network import Closed, Connection, Network, Opened
from tests.simulation.process import Node
from tests.simulation.storage import Engine, Ensemble, FencedEngine, Session, Store
from tests.simulation.world import EPOCH, Host, World

ROLES = {"worker": Role.WORKER, "app": Role.CLIENT, "client": Role.CLIENT, "admin": Role.ADMIN}


class Deposed(Exception):
    """Its term has ended; its core is discarded."""


@dataclass
class Disk:
    """Return how long a durable write takes, in seconds."""

    slowest: float = 0.004


class Master(Node):
    def __init__(
        self,
        world: World,
        network: Network,
        host: Host,
        *,
        policy: Policy,
        pools: Pools,
        store: Store,
        ensemble: Ensemble | None,
        durable: bool,
        checks: Checks,
        disk: Disk,
    ) -> None:
        super().__init__(world, network, host, host.name)
        self.address = f"{host.name}:7077"
        self.core: core.MasterCore | None = None  # while it leads
        self.hangs_when_elected = 0.0  # in seconds, in the middle of its recovery
        self._pools = pools
        self._policy, self._store, self._ensemble, self._durable = policy, store, ensemble, durable
        self._checks, self._disk = checks, disk
        self._session: Session | None = None
        self._news: list[LeadershipEvent] = []
        self._peers: dict[bytes, Connection] = {}
        self._waiting: dict[bytes, None] = {}  # peers that asked to register while it was a standby
        self._following: Candidate | None = None
        self._working: Iterator[float] | None = None
        self._engine: Engine | None = None
        self._pause = Pause(self._send)
        self._unreleased: list[Effect] = []
        self._write_at = 0.0

    # --- life ---

    def started(self) -> None:
        self._news.clear()
        self._peers.clear()
        self._waiting.clear()
        self.core = self._working = self._engine = self._following = None
        self._pause, self._unreleased, self._write_at = Pause(self._send), [], 0.0
        self.network.listen(self.address, self)
        if self._ensemble is not None:
            self._session = self._ensemble.join(self, self.address, self._on_event(self.incarnation))
        else:  # AloneLeadership
            self._store.last_epoch = max(self._store.last_epoch + 1, int(self.host.wall() - EPOCH + 1e6))
            self._news.append(Elected(self._store.last_epoch))

    def _on_event(self, incarnation: int) -> Callable[[LeadershipEvent], None]:
        def on_event(event: LeadershipEvent) -> None:
            if self.is_alive and self.incarnation == incarnation:
                self._news.append(event)
                self.wake()

        return on_event

    def died(self) -> None:
        self.core = self._working = None
        session, self._session = self._session, None
        if session is not None and self._ensemble is not None and self.world.rng.random() < 0.6:
            # A standby saw that the process died and took over: within a second, not after the session timeout.
            ensemble = self._ensemble
            self.world.after(0.05, lambda: ensemble.leave(session))

    def stop(self) -> None:
        """SIGTERM: hand over at once."""
        session, self._session = self._session, None
        if session is not None and self._ensemble is not None:
            self._ensemble.leave(session)
        self.die("stopped")

    @property
    def is_serving(self) -> bool:
        return self.is_alive and self.core is not None and self.core.ctx.state is MasterState.ALIVE

    def knows(self, peer: bytes) -> bool:
        """Return whether the peer's connection is open: it has not been reported as gone."""
        return peer in self._peers

    # --- rounds ---

    def work(self) -> None:
        if self._working is None:
            self._working = self._round()
            self._go_on()

    def _go_on(self) -> None:
        """Continue the round under way, up to its next wait."""
        assert self._working is not None
        try:
            delay = next(self._working)
        except StopIteration:
            self._working = None
        except Deposed as reason:
            self.die(f"no longer leads: {reason}")
            self.world.after(0.05, self.start)  # and stands for election again
        except StorageFailed as error:  # of reading; the shell handles failed writes
            self.die(f"storage: {error}")
        else:
            self.later(delay, self._go_on)

    def _round(self) -> Iterator[float]:
        for event in self._take_news():
            yield from self._on_leadership(event)
        if self.core is None:
            for received in self._drain():
                self._turn_away(received)
        else:
            if self._pause.unwritten and not self._pause.frozen and self.now().mono >= self._write_at:
                yield from self._release(self._unreleased)
            if self._pause.reason:
                self._wait()
            else:
                yield from self._act(self.core)
        if self.inbox or self._news:
            self.wake()

    def _take_news(self) -> list[LeadershipEvent]:
        news, self._news = self._news, []
        return news

    def _on_leadership(self, event: LeadershipEvent) -> Iterator[float]:
        if isinstance(event, Revoked):
            raise Deposed(event.reason)
        if isinstance(event, Elected):
            yield from self._lead(event.epoch)
        elif isinstance(event, Frozen):
            self.world.note(self.name, "waits:", event.reason)
            self._pause.frozen = event.reason
        elif isinstance(event, Thawed):
            self._pause.frozen, self._write_at = "", 0.0
        elif isinstance(event, Follow):
            self._following = event.leader
        elif isinstance(event, Roster) and self.core is not None:
            others = [address for address in event.addresses if address != self.address]
            self.core.masters_are((self.address, *others))

    def _act(self, leading: core.MasterCore) -> Iterator[float]:
        now = self.now()
        batch = self._pause.take() or self._drain()
        rehearsal = rehearse(leading, batch, now)
        for event in batch:
            if isinstance(event, Incoming):
                received = core_effects.Received(event.peer, event.key, event.role, event.message, event.name)
                self._checks.hears(self, event.name)
                leading.handle(received, now)
                self._checks.heard(self, event.name, event.message)
            elif isinstance(event, PeerGone):
                leading.handle(core_effects.Gone(event.peer), now)
        effects = leading.finish_batch(now)
        if rehearsal is not None:
            rehearsal.compare(effects, self._checks.fail)
        self._checks.batch(self, effects)
        yield from self._release(effects)
        self.round_by(self._write_at if self._pause.unwritten else leading.next_deadline())

    def _wait(self) -> None:
        for event in self._drain():
            self._pause.add(event)
        if self._pause.unwritten:
            self.round_by(self._write_at)

    def _lead(self, epoch: int) -> Iterator[float]:
        self.world.note(self.name, "leads, epoch", epoch)
        if self._ensemble is not None:
            self._engine = FencedEngine(self._store, epoch, self._ensemble, self)
        else:
            self._engine = Engine(self._store, epoch, durable=self._durable)
        rng = random.Random(self.world.rng.getrandbits(32))
        leading = core.MasterCore(
            policy=self._policy, epoch=epoch, url=f"spark://{self.address}", rng=rng, secret=b"of all masters"
        )
        leading.pools_are(self._pools, self.now())
        yield self._latency()
        effects = leading.recover(read_records(self._engine), self.now())
        self.core = leading
        self._checks.leads(self, epoch)
        if self.hangs_when_elected:
            self.freeze_in = (self.world.rng.randint(0, 3), self.hangs_when_elected)
            self.hangs_when_elected = 0.0
        yield from self._release(effects)
        leading.invite(self._waiting)

    # --- messages ---

    def _drain(self) -> list[Incoming | PeerGone | Garbage]:
        """Return messages and closed connections, like ``io.sockets.Server``."""
        items = self.inbox[:BATCH]
        del self.inbox[:BATCH]
        events: list[Incoming | PeerGone | Garbage] = []
        for connection, item in items:
            if isinstance(item, Closed):
                if self._peers.pop(connection.peer, None) is not None:
                    events.append(PeerGone(connection.peer))
            elif not isinstance(item, Opened):
                message = codec.to_master.decode(item)
                self._peers[connection.peer] = connection
                self.world.note(self.name, "<-", connection.client.name, message)
                role, name = connection.peer.decode().split("/")[:2]
                events.append(Incoming(connection.peer, name, ROLES[role], name, message))
        return events

    def _turn_away(self, event: Incoming | PeerGone | Garbage) -> None:
        """Answer as a standby."""
        if isinstance(event, PeerGone):
            self._waiting.pop(event.peer, None)
        if not isinstance(event, Incoming):
            return
        if isinstance(event.message, (RegisterWorker, RegisterApplication)):
            self._waiting[event.peer] = None
        request = getattr(event.message, "request", 0 if isinstance(event.message, RegisterWorker) else None)
        if request is not None:
            leader = self._following.address if self._following is not None else ""
            self._send(event.peer, Failed(request=request, reason="a standby", code="not-leader", leader=leader))

    def _release(self, effects: list[Effect]) -> Iterator[float]:
        """Persist, then send, as the shell does; but time passes, and the master may die anywhere."""
        batch = batch_of(effects)
        assert self._engine is not None
        if batch.writes and self._engine.is_durable:
            writes = encode_writes(batch.writes)
            yield self.boundary()
            yield self._latency()
            try:
                self._engine.commit(writes)
            except Superseded as error:
                raise Deposed(str(error)) from None
            except StorageFailed as error:
                self.world.note(self.name, "cannot write:", error)
                self._pause.unwritten, self._unreleased = str(error), effects
                self._write_at = self.now().mono + WRITE_AGAIN
                self.round_by(self._write_at)
                return
            yield self._latency()
        self._pause.unwritten, self._unreleased = "", []
        for effect in batch.after:
            frozen = self.boundary()
            if frozen:
                self.world.note(self.name, f"hangs for {frozen:.1f} s between two effects")
                yield frozen
            if isinstance(effect, Send):
                self._send(effect.peer, effect.message)
            elif isinstance(effect, Log):
                self.world.note(self.name, "log:", effect.text)

    def _latency(self) -> float:
        return self.world.rng.random() * self._disk.slowest / 2

    def _send(self, peer: bytes, message: Message) -> None:
        connection = self._peers.get(peer)
        if connection is None:
            return
        if self.core is not None:
            self._checks.sends(self, connection, message)
        self.world.note(self.name, "->", connection.client.name, message)
        connection.send(self, codec.encode(message))
