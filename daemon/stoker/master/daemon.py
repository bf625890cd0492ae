"""The master's shell: effects to I/O. One thread, one loop; the dashboard's threads only ask it for snapshots.

Each round: drain what is waiting, run the core on each event, one scheduling pass, ONE durable write of all records of
the batch, and only then the messages (DESIGN section 1).
"""

from __future__ import annotations

import logging
import random
import time

import stoker
from stoker.config import MasterConfig
from stoker.core import master as core
from stoker.core.effects import Effect, Send, batch_of
from stoker.core.messages import (
    FetchBlob,
    LogData,
    Message,
    MissingBlobs,
    ReadBlobs,
    ReadLog,
    SubmitDriver,
    UploadChunk,
)
from stoker.core.snapshot import ClusterView
from stoker.core.values import Now
from stoker.errors import NotFound, ProtocolError
from stoker.io.ask import ask_in_loop
from stoker.io.loop import Loop
from stoker.io.sockets import Garbage, Gone, Received, Server
from stoker.io.transport import bracketed
from stoker.master.blobs import BlobStore
from stoker.master.relay import LogRelay
from stoker.recovery.base import RecoveryEngine
from stoker.recovery.records import encode_writes, read_records

LOG = logging.getLogger("stoker.master")
BATCH = 1000  # messages handled before one durable write
PRUNE_INTERVAL = 600.0  # seconds between looks for unused uploads


class MasterDaemon:
    """Ties the core to sockets, recovery engine, uploads and logs. ``run`` returns after ``stop``."""

    def __init__(
        self, config: MasterConfig, *, loop: Loop, server: Server, engine: RecoveryEngine, epoch: int, webui_url: str
    ) -> None:
        self._loop = loop
        self._server = server
        self._engine = engine
        self._warnings = tuple(config.warnings)
        self._core = core.MasterCore(
            policy=config.policy,
            epoch=epoch,
            url=f"spark://{bracketed(config.host)}:{server.port}",
            rng=random.Random(),  # noqa: S311 - spreads load, guards nothing
            webui_url=webui_url,
            version=stoker.__version__,
        )
        folder = config.state_dir / f"master-{server.port}" / "blobs"
        self._blobs = BlobStore(
            folder, max_bytes=config.upload_max_bytes, reply=self._reply, in_loop=loop.call_soon_threadsafe
        )
        self._relay = LogRelay(self._core.locate_output, self._reply)
        self._prune_at = time.monotonic() + PRUNE_INTERVAL
        self._seen: tuple[float, ClusterView] | None = None

    @property
    def url(self) -> str:
        return self._core.ctx.url

    def recover(self) -> None:
        """Start from what an earlier master recorded."""
        self._release(self._core.recover(read_records(self._engine), _now()))

    def run(self) -> None:
        self._loop.run(self._round)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def close(self) -> None:
        self._blobs.close()
        self._server.close()
        self._engine.close()

    # --- the round ---

    def _round(self) -> float:
        events = self._server.drain(BATCH)
        now = _now()
        for event in events:
            if isinstance(event, Received):
                self._receive(event, now)
            elif isinstance(event, Gone):
                self._core.handle(core.Gone(event.peer), now)
                self._blobs.peer_gone(event.peer)
                self._relay.peer_gone(event.peer)
            elif isinstance(event, Garbage):
                LOG.warning("ignored a message of %r: %s", event.peer, event.reason)
        self._release(self._core.finish_batch(now))
        if now.mono >= self._prune_at:
            self._prune_at = now.mono + PRUNE_INTERVAL
            self._blobs.prune(self._needed_blobs())
        return now.mono if len(events) >= BATCH else min(self._core.next_deadline(), self._prune_at)

    def _receive(self, event: Received, now: Now) -> None:
        message = event.message
        if isinstance(message, ReadLog):
            self._relay.ask(event.peer, message)
        elif isinstance(message, LogData):
            self._relay.answer(event.peer, message)
        elif isinstance(message, FetchBlob):
            self._blobs.fetch(event.peer, message)
        elif isinstance(message, UploadChunk):
            self._blobs.receive(event.peer, message)
        elif isinstance(message, ReadBlobs):
            self._blobs.ask(event.peer, message)
        elif isinstance(message, SubmitDriver) and (missing := self._blobs.missing(message.driver)):
            self._reply(event.peer, MissingBlobs(request=message.request, sha256s=missing))
        else:
            self._core.handle(core.Received(event.peer, event.key, event.role, message), now)

    def _release(self, effects: list[Effect]) -> None:
        """Persist, THEN send. A failed write stops the master before anything of the batch is told to anyone."""
        batch = batch_of(effects)
        if batch.writes and self._engine.is_durable:
            self._engine.commit(encode_writes(batch.writes))
        for effect in batch.after:
            if isinstance(effect, Send):
                self._reply(effect.peer, effect.message)
            else:
                LOG.log(effect.level, "%s", effect.text)

    def _reply(self, peer: bytes, message: Message) -> None:
        """A peer that cannot take it is gone, and the server reports that by itself."""
        try:
            self._server.send(peer, message)
        except ProtocolError as error:
            LOG.error("cannot answer %r: %s", peer, error)

    def _needed_blobs(self) -> set[str]:
        drivers = self._core.ctx.books.drivers.values()
        return {artifact.sha256 for driver in drivers for artifact in driver.record.description.artifacts}

    # --- for the dashboard's threads ---

    def snapshot(self) -> ClusterView:
        """An immutable view, at most 0.2 s old. Thread-safe."""
        seen = self._seen
        if seen is not None and time.monotonic() - seen[0] < 0.2:
            return seen[1]
        view = ask_in_loop(self._loop, self._core.view)
        self._seen = (time.monotonic(), view)
        return view

    def kill(self, job_id: str) -> str:
        """Kill a driver or application, as an administrator. Thread-safe. Raises NotFound."""

        def kill() -> str:
            books = self._core.ctx.books
            if job_id not in books.drivers and job_id not in books.apps:
                raise NotFound(f"{job_id} has already finished or does not exist")
            self._core.ctx.now = _now()
            self._core.kill(job_id, None, 0, None)
            return f"Kill request for {job_id} submitted"

        return ask_in_loop(self._loop, kill)


def _now() -> Now:
    return Now(time.monotonic(), time.time())
