"""The leading master's shell: it turns effects into I/O. One thread, one loop; the dashboard's threads only ask for
snapshots.

Each round takes all waiting messages, runs the core on each event, makes one scheduling pass and ONE durable write of all
records of the batch, and only then sends the messages (docs/architecture.md). A batch that cannot be written is tried again
until it can be. Meanwhile, and while the election cannot tell whether this master leads, the master pauses (master.pause).
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from stoker.config.master import MasterConfig
from stoker.core.forecast.rebuild import Snapshot
from stoker.core.master import effects as core_effects
from stoker.core.master import machine as core
from stoker.core.master.effects import Effect, Invite, Send, batch_of
from stoker.core.master.show import scheduling
from stoker.core.master.vouching import may_fetch
from stoker.core.model.addresses import address_of
from stoker.core.model.counts import Tally
from stoker.core.model.messages import (
    Failed,
    FetchBlob,
    FindMissingBlobs,
    GetStatus,
    LogData,
    Message,
    MissingBlobs,
    ReadLog,
    RegisterWorker,
    RegisterWorkerFailed,
    SubmitDriver,
    UploadChunk,
)
from stoker.core.model.states import MasterState, Role
from stoker.core.model.values import Now
from stoker.core.model.views import ClusterView
from stoker.errors import ProtocolError
from stoker.io.clock import read_clock
from stoker.io.loop import Loop
from stoker.io.peer_log import PeerLog, name_of
from stoker.io.sockets import Garbage, Incoming, PeerGone, Server
from stoker.leader.base import Frozen, LeadershipEvent, Revoked, Roster, Thawed
from stoker.master.audit import MasterAudit
from stoker.master.blobs import BlobStore, nothing
from stoker.master.dashboard import LeaderDashboard
from stoker.master.door import SizeGuard
from stoker.master.internal import InternalRequests
from stoker.master.pause import Pause
from stoker.master.pools_file import PoolsFile
from stoker.master.principals import name_principals
from stoker.master.relay import LogRelay
from stoker.master.shadow import Shadow
from stoker.recovery.base import RecoveryEngine, StorageFailed, Superseded
from stoker.recovery.records import encode_writes, read_records
from stoker.security.secret import secret_of
from stoker.security.spark_secrets import SparkSecrets
from stoker.security.tokens import TokenFile
from stoker.version import RELEASE

LOG = logging.getLogger("stoker.master")
PEERS = PeerLog(LOG)
BATCH = 1000  # messages handled before one durable write
PRUNE_INTERVAL = 600.0  # seconds between looks for unused uploads
WRITE_AGAIN = 0.25  # seconds until a batch that could not be recorded is tried again


class MasterDaemon:
    """Connects the core with sockets, recovery engine, uploads and logs. ``news`` yields the election's events."""

    def __init__(
        self,
        config: MasterConfig,
        *,
        loop: Loop,
        server: Server,
        engine: RecoveryEngine,
        news: deque[LeadershipEvent],
        epoch: int,
        webui_url: str,
        tally: Tally | None = None,
        pools: PoolsFile | None = None,
        spark_secrets: SparkSecrets | None = None,
    ) -> None:
        self.loop = loop
        self._news = news
        self._server = server
        self._engine = engine
        self._pause = Pause(self._reply)
        self._unreleased: list[Effect] = []  # effects whose records could not be written yet
        self._write_at = 0.0
        self._is_over = False
        self._dashboards: tuple[str, ...] = ()
        self._pools = pools or PoolsFile(config.pools_file)
        self._spark_secrets = spark_secrets
        self._authenticates, self._keys_dir = config.authenticate, config.keys_dir
        self._core = core.MasterCore(
            policy=config.policy,
            epoch=epoch,
            url=f"spark://{address_of(config.host, server.port)}",
            rng=random.Random(),  # noqa: S311 - spreads load, guards nothing
            webui_url=webui_url,
            version=RELEASE,
            tally=tally,
            secret=secret_of(config.state_dir / f"master-{server.port}" / "seal") if config.authenticate else b"",
        )
        self._take_pools(read_clock())
        folder = config.upload_directory or config.state_dir / f"master-{server.port}" / "blobs"
        self._blobs = BlobStore(
            folder,
            max_bytes=config.upload_max_bytes,
            reply=self._reply,
            in_loop=loop.call_soon_threadsafe,
            limits=config.limits,
            owner_of=server.owner_of,
        )
        self._audit = MasterAudit(server.address_of)
        self._internal = InternalRequests(loop.call_soon_threadsafe)
        self._relay = LogRelay(self._core.locate_output, self._reply, limits=config.limits, owner_of=server.owner_of)
        self._door = SizeGuard(config.limits)
        self._shadow = Shadow(self._snapshot, self._core.shadow_is, loop.call_soon_threadsafe)
        self._apart = self._rules_of_files()
        # Every message that the server accepts has its rule here.
        self._rules: dict[type[Message], Callable[[core_effects.Received, Now], None]] = {
            **self._core.rules,
            **{kind: partial(_apart, rule) for kind, rule in self._apart.items()},
            SubmitDriver: self._submit,
        }
        self._prune_at = time.monotonic() + PRUNE_INTERVAL
        self.dashboard: LeaderDashboard = LeaderDashboard(
            loop,
            self._core,
            self._relay,
            self._internal,
            self._pause,
            view=self._view,
            warnings=tuple(config.warnings),
            too_large=self._door.too_large,
        )

    def _rules_of_files(self) -> dict[type[Message], Callable[[bytes, Any], None]]:
        """Files and output: these messages do not change the books, and are handled even while the master pauses."""
        return {
            ReadLog: self._relay.ask_for,
            LogData: self._relay.answer,
            FetchBlob: self._fetch,
            UploadChunk: self._blobs.receive,
            FindMissingBlobs: self._blobs.ask,
        }

    @property
    def url(self) -> str:
        return self._core.ctx.url

    @property
    def _address(self) -> str:
        return self.url.removeprefix("spark://")

    def recover(self) -> None:
        """Start from an earlier master's records."""
        records = read_records(self._engine)
        name_principals(records.values(), self._server.authorizer, TokenFile(self._keys_dir))
        self._release(self._core.recover(records, read_clock()))

    def invite(self, peers: Iterable[bytes]) -> None:
        """Ask peers that tried to register while this master was a standby to register now."""
        self._core.invite(peers)

    def run(self) -> None:
        """Lead until the loop is stopped or this master is deposed."""
        self.loop.run(self._round)

    def close(self) -> None:
        self._blobs.close()
        self._engine.close()

    # --- the round ---

    def _round(self) -> float:
        now = read_clock()
        while self._news:
            self._on_leadership(self._news.popleft())
        if self._pause.unwritten and not self._pause.frozen and now.mono >= self._write_at:
            self._release(self._unreleased)
        if self._is_over:
            return now.mono
        deadline = self._wait(now) if self._pause.reason else self._act(now)
        return min(deadline, self._server.look_by)

    def _act(self, now: Now) -> float:
        look_at = self._pools.look(now.mono)
        if self._core.ctx.state is MasterState.ALIVE:
            look_at = min(look_at, self._shadow.look(self._pools, now.mono))
        self._take_pools(now)
        arrived = self._pause.take() or self._server.drain(BATCH)
        for event in arrived:
            if isinstance(event, Incoming):
                self._receive(event, now)
            elif isinstance(event, PeerGone):
                self._core.handle(core_effects.Gone(event.peer), now)
                self._blobs.peer_gone(event.peer)
                self._relay.peer_gone(event.peer)
                self._audit.peer_gone(event.peer)
            elif isinstance(event, Garbage):
                self._ignore(event)
        self._release(self._core.finish_batch(now))
        if now.mono >= self._prune_at:
            self._prune_at = now.mono + PRUNE_INTERVAL
            self._blobs.prune(self._needed_blobs())
        deadline = min(self._core.next_deadline(), self._prune_at, self.dashboard.sample(now), look_at)
        return now.mono if len(arrived) >= BATCH else deadline

    def _take_pools(self, now: Now) -> None:
        """Give the core the pools of the file, and the faults of the files that are read live."""
        of_secrets = self._spark_secrets.fault if self._spark_secrets is not None else ""
        self._core.pools_are(self._pools.pools, now, self._pools.fault, of_secrets)

    def _wait(self, now: Now) -> float:
        """Run a round in which nothing may be decided. Requests that only read are answered."""
        for event in [] if self._pause.is_full else self._server.drain(BATCH):
            if not isinstance(event, Incoming):
                self._pause.add(event)
            elif isinstance(event.message, GetStatus) and not event.message.id:
                self._reply(event.peer, self._core.ctx.paging.answer(event.peer, event.message, self._view))
            elif (rule := self._apart.get(type(event.message))) is not None:
                rule(event.peer, event.message)
            elif not self._lacks_files(event):
                self._pause.add(event)
        return self._write_at if self._pause.unwritten else now.mono + PRUNE_INTERVAL

    def _on_leadership(self, event: LeadershipEvent) -> None:
        if isinstance(event, Revoked):
            self._give_up(event.reason)
        elif isinstance(event, Frozen):
            if not self._pause.frozen:
                LOG.error("%s: this master does nothing until it does", event.reason)
            self._pause.frozen = event.reason
        elif isinstance(event, Thawed):
            LOG.warning("ZooKeeper answers again and this master still leads: it goes on")
            self._pause.frozen, self._write_at = "", 0.0
        elif isinstance(event, Roster):
            others = [address for address in event.addresses if address != self._address]
            self._core.masters_are((self._address, *others))
            self._dashboards = event.dashboards

    def _give_up(self, reason: str) -> None:
        if not self._is_over:
            LOG.error("this master no longer leads: %s", reason)
        self._is_over = True
        self.loop.stop()

    def _ignore(self, event: Garbage) -> None:
        text = f"ignored a message of {event.peer!r}: {event.reason}"
        if PEERS.warning(name_of(event.peer), "garbage", text) and event.request:
            self._audit.refused(event.peer, event.principal, event.request, event.reason)

    def _receive(self, event: Incoming, now: Now) -> None:
        self._audit.asked(event)
        if reason := self._door.reason_against(event.message):
            self._turn_away(event, reason)
            return
        role = event.role if self._authenticates or event.role is Role.WORKER else Role.ADMIN  # nothing is proved
        authorizer = self._server.authorizer if isinstance(event.message, RegisterWorker) else None
        kin = authorizer.kin(event.key) if authorizer is not None else frozenset()
        sent = self._door.shortened(event.message)
        message = core_effects.Received(event.peer, event.key, role, sent, event.principal, event.door, kin, event.pool)
        self._rules[type(event.message)](message, now)

    def _turn_away(self, event: Incoming, reason: str) -> None:
        request = getattr(event.message, "request", None)
        if request is not None:
            self._reply(event.peer, Failed(request=request, reason=reason))
        elif isinstance(event.message, RegisterWorker):
            PEERS.warning(name_of(event.peer), "door", f"rejected a worker: {reason}")
            self._reply(event.peer, RegisterWorkerFailed(epoch=self._core.ctx.epoch, reason=reason))

    def _submit(self, event: core_effects.Received, now: Now) -> None:
        """Submit a driver if the master has all its files; else ask for them."""
        if not self._lacks_files(event):
            self._core.handle(event, now)

    def _lacks_files(self, event: core_effects.Received | Incoming) -> bool:
        """Return whether the master lacks files of the driver; then it sends an answer that names them."""
        message = event.message
        if not isinstance(message, SubmitDriver) or not (missing := self._blobs.missing(message.driver)):
            return False
        self._reply(event.peer, MissingBlobs(request=message.request, sha256s=missing))
        return True

    def _release(self, effects: list[Effect]) -> None:
        """Persist, write the audit trail, THEN send: all at once, so that ZeroMQ's thread is woken once. If a batch cannot be
        written, none of its messages is sent until it is."""
        batch = batch_of(effects)
        try:
            if batch.writes and self._engine.is_durable:
                self._engine.commit(encode_writes(batch.writes))
        except Superseded as error:
            self._give_up(str(error))
            return
        except StorageFailed as error:
            if str(error) != self._pause.unwritten:
                LOG.error("%s: this master does nothing until that works", error)
            self._pause.unwritten, self._unreleased = str(error), effects
            self._write_at = time.monotonic() + WRITE_AGAIN
            return
        if self._pause.unwritten:
            LOG.warning("the records could be written: this master goes on")
            self._pause.unwritten, self._unreleased = "", []
        for effect in batch.after:
            if isinstance(effect, Send):
                self._audit.answered(effect.peer, effect.message)
        self._audit.write()
        for effect in batch.after:
            if isinstance(effect, Send):
                self._send(effect.peer, effect.message)
            elif isinstance(effect, Invite):
                self._server.call_back_application(
                    effect.app_id, effect.app, effect.webui_url, effect.within, effect.principal
                )
            elif effect.peer:
                PEERS.warning(effect.peer, "core", effect.text)
            else:
                LOG.log(effect.level, "%s", effect.text)

    def _reply(self, peer: bytes, message: Message) -> None:
        self._audit.answered(peer, message)
        self._audit.write()
        self._send(peer, message)

    def _send(self, peer: bytes, message: Message) -> None:
        """Send a message. If the peer's connection is closed it is dropped; the server reports the closed connection."""
        if self._internal.take(peer, message):
            return
        try:
            self._server.send(peer, message)
        except ProtocolError as error:
            PEERS.warning(name_of(peer), "answer", f"cannot answer {peer!r}: {error}")

    def _fetch(self, peer: bytes, message: FetchBlob) -> None:
        """Send a worker a part of an upload, if one of its drivers needs that (ADR 23)."""
        if may_fetch(self._core.ctx.books, peer, message.sha256):
            self._blobs.fetch(peer, message)
            return
        PEERS.warning(name_of(peer), "fetch", f"refused {peer!r} an upload: no driver placed there needs it")
        self._reply(peer, nothing(message, "no driver that is placed on this worker needs this upload"))

    def _needed_blobs(self) -> set[str]:
        drivers = self._core.ctx.books.drivers.values()
        return {artifact.sha256 for driver in drivers for artifact in driver.record.description.artifacts}

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._core.view(), scheduling(self._core.ctx, 0, ""))

    def _view(self) -> ClusterView:
        """Return a view of the cluster. A master that pauses accepts no jobs, and the view's warnings say why."""
        view = msgspec.structs.replace(self._core.view(), dashboards=self._dashboards)
        if not self._pause.reason:
            return view
        return msgspec.structs.replace(
            view, state=MasterState.RECOVERING, warnings=(self._pause.reason, *view.warnings)
        )


def _apart(rule: Callable[[bytes, Any], None], event: core_effects.Received, _now: Now) -> None:
    rule(event.peer, event.message)
