"""The gateway for unmodified Spark clients: a thread with a loop of its own, beside the master's.

It owns the master's listening socket (``door``) and one ``SparkConnection`` a Spark client. To the master's core a
connection is a peer like any other: messages are handed in with ``post``, and a closed connection is ``gone``.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stoker.core.model.messages import ApplicationHeartbeat, Message
from stoker.gateway.budget import Budget, Crowd
from stoker.gateway.connection import SparkConnection
from stoker.gateway.door import MOST_SILENT, Doorkeeper, watch_for_loss
from stoker.gateway.releases import UnknownRelease
from stoker.gateway.session import Returning
from stoker.gateway.spark_rpc import Address
from stoker.gateway.terms import Terms
from stoker.security.throttle import Throttle

LOG = logging.getLogger("stoker.gateway")
INVITE_TIMEOUT = 5.0  # seconds to reach a driver
LONGEST_PAUSE = 10.0  # seconds between two tries


@dataclass(frozen=True, slots=True)
class MasterCalls:
    """The functions that the gateway calls; all are thread-safe."""

    post: Callable[[bytes, Message, str, str], None]  # a message of this peer, its principal and its pool
    gone: Callable[[bytes], None]  # the connection of this peer has ended


class Gateway:
    """Runs from ``start`` to ``close``. ``silence`` (seconds): a client whose machine is silent for so long is lost."""

    def __init__(self, listener: socket.socket, inner: str, *, silence: float, terms: Terms) -> None:
        self._listener = listener
        self._inner = inner
        self._silence = silence
        self._terms = terms
        self.budget = Budget()
        self.throttle = Throttle()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._connections: dict[bytes, SparkConnection] = {}
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._invitations: dict[str, asyncio.Task[None]] = {}
        self._master: MasterCalls | None = None
        self._address = Address("", 0)

    def start(self, master: MasterCalls, address: Address) -> None:
        """Accept clients. ``address`` is this master's, for clients that have not named it."""
        self._master, self._address = master, address
        self._thread.start()

    # --- called by the master's thread ---

    def send(self, peer: bytes, message: Message) -> None:
        """Send to a peer of the gateway; nothing happens when it has disconnected."""
        self._soon(self._deliver, peer, message)

    def call_back_application(self, returning: Returning, webui_url: str, within: float) -> None:
        """Notify an application's driver that this master leads now: on the connection on which it registered while this
        master was a standby, else on a new one, which is tried for ``within`` seconds."""
        self._soon(self._start_inviting, returning, webui_url, within)

    def taken(self, counts: Mapping[bytes, int]) -> None:
        """Note how many messages of each peer the master has handled."""
        self._soon(self._taken, counts)

    def turn_out_revoked(self) -> None:
        """Close the connections of clients whose secrets were revoked."""
        self._soon(self._turn_out_revoked)

    def close(self) -> None:
        if self._thread.is_alive():
            self._soon(self._loop.stop)
            self._thread.join(5.0)
        self._listener.close()

    def _soon(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            LOG.debug("the gateway is closed")

    # --- the thread ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            opening = self._loop.create_task(self._open())
            self._loop.run_forever()
            opening.cancel()
            self._loop.run_until_complete(self._close_all())
        finally:
            self._loop.close()

    async def _close_all(self) -> None:
        """Cancel all tasks first: one that was connecting closes its socket a round later."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for transport in list(self._transports):
            if transport.get_extra_info("socket").fileno() >= 0:  # asyncio cannot abort what it has closed already
                transport.abort()
        await asyncio.sleep(0)  # in which they are closed

    async def _open(self) -> None:
        door = functools.partial(
            Doorkeeper,
            self._inner,
            spark=self._spark,
            silence=self._silence,
            transports=self._transports,
            silent=Crowd(MOST_SILENT),
        )
        await self._loop.create_server(door, sock=self._listener)
        self._beat()

    def _spark(self) -> SparkConnection:
        return SparkConnection(self, master=self._address, terms=self._terms)

    def _beat(self) -> None:
        """Send heartbeats for connected applications: Spark clients send none."""
        for connection in self._connections.values():
            if connection.session.app_id:
                beat = ApplicationHeartbeat(app_id=connection.session.app_id)
                self.post(connection.peer, beat, connection.principal, "")
        self._loop.call_later(self._silence / 4, self._beat)

    def opened(self, connection: SparkConnection) -> None:
        self._connections[connection.peer] = connection

    def closed(self, connection: SparkConnection) -> None:
        assert self._master is not None
        if self._connections.pop(connection.peer, None) is not None and connection.has_spoken:
            self._master.gone(connection.peer)

    def post(self, peer: bytes, message: Message, principal: str, pool: str) -> None:
        assert self._master is not None
        self._master.post(peer, message, principal, pool)

    def _turn_out_revoked(self) -> None:
        for connection in [one for one in self._connections.values() if one.is_revoked]:
            connection.turn_out()

    def _deliver(self, peer: bytes, message: Message) -> None:
        connection = self._connections.get(peer)
        if connection is not None and not connection.is_revoked:
            connection.session.deliver(message)

    def _taken(self, counts: Mapping[bytes, int]) -> None:
        for peer, count in counts.items():
            if peer in self._connections:
                self._connections[peer].taken(count)

    # --- applications of an earlier master ---

    def _start_inviting(self, returning: Returning, webui_url: str, within: float) -> None:
        app_id = returning.app_id
        before = self._invitations.pop(app_id, None)
        if before is not None:
            before.cancel()
        if self._invite_on_its_connection(returning, webui_url):
            return
        if self._terms.asks_for_secret and self._terms.of(returning.principal) is None:
            LOG.warning("%s: its driver is not notified: %s has no secret any more", app_id, returning.principal)
            return
        task = self._loop.create_task(self._invite(returning, webui_url, within))
        self._invitations[app_id] = task
        task.add_done_callback(lambda done: self._invited(app_id, done))

    def _invite_on_its_connection(self, returning: Returning, webui_url: str) -> bool:
        """Ask a driver that registered here on its own connection only: it answers the master that notified it last, on the
        connection where that came. Who has proved to be another principal is not that driver."""
        found = next(
            (
                connection.session
                for connection in self._connections.values()
                if connection.session.is_driver_of(returning.app)
                and not connection.is_revoked
                and returning.principal in ("", connection.principal)
            ),
            None,
        )
        if found is None:
            return False
        for connection in self._connections.values():
            if connection.session is not found:
                connection.session.supersede(returning.app_id)
        found.invite(returning, webui_url)
        return True

    def _invited(self, app_id: str, done: asyncio.Task[None]) -> None:
        if self._invitations.get(app_id) is done:
            del self._invitations[app_id]
        if not done.cancelled() and done.exception() is not None:
            LOG.error("%s: its driver could not be notified of this master", app_id, exc_info=done.exception())

    async def _invite(self, returning: Returning, webui_url: str, within: float) -> None:
        spark = returning.app.spark
        assert spark is not None
        deadline, pause = self._loop.time() + within, 0.25
        while True:
            try:
                opening = self._loop.create_connection(
                    lambda: SparkConnection(self, master=self._address, terms=self._terms, returning=returning),
                    spark.driver_host.strip("[]"),
                    spark.driver_port,
                )
                transport, connection = await asyncio.wait_for(opening, INVITE_TIMEOUT)
                self._transports.add(transport)
                watch_for_loss(transport, self._silence)
                await asyncio.wait_for(connection.proven, INVITE_TIMEOUT)
                connection.session.invite(returning, webui_url)
                return
            except UnknownRelease as error:
                LOG.warning("%s: %s", returning.app_id, error)
                return
            except (OSError, asyncio.TimeoutError) as error:
                reason = str(error) or "no answer"
            if self._loop.time() + pause > deadline:
                LOG.warning("%s: its driver could not be notified of this master: %s", returning.app_id, reason)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
