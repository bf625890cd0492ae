"""``GatedServer``: the master's ``Server`` with Spark clients among its peers, on the same port.

Marked connections (``io.port``) are the ROUTER's. The gateway's thread has all others; it passes ZeroMQ's on to an abstract
unix socket of the ROUTER. ``drain`` returns the messages of Spark clients with all others.
"""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import msgspec

from stoker.core.model.addresses import bracketed
from stoker.core.model.messages import LaunchDriver, LaunchExecutor, Message
from stoker.core.model.principal import GATEWAY
from stoker.core.model.states import Role
from stoker.core.model.values import ApplicationDescription
from stoker.gateway.terms import PEER_PREFIX, Terms
from stoker.io.loop import Loop
from stoker.io.port import open_port
from stoker.io.server import Garbage, Incoming, PeerGone, Server

if TYPE_CHECKING:
    from stoker.gateway.gateway import Gateway

ANYBODY = Terms()
_NAME = "spark client"
LOG = logging.getLogger("stoker.gateway")


class GatedServer(Server):
    """As ``Server``. ``terms``: what Spark clients must do to be let in. If they let nobody in, the gateway is loaded when
    somebody comes without a mark. Raises ConfigError."""

    def __init__(
        self, loop: Loop, *, host: str, port: int, max_port_retries: int = 16, terms: Terms = ANYBODY, **others: Any
    ) -> None:
        first, second = open_port(host, port, max_port_retries)
        own_port: int = first.getsockname()[1]
        marked = first if second is not None or terms.closed else None
        unmarked = first if marked is None else second
        inner = f"stoker-{secrets.token_hex(16)}" if unmarked is not None else ""
        self._gateway: Gateway | None = None
        self._opener: threading.Thread | None = None
        self._door = unmarked
        try:
            endpoint = f"ipc://@{inner}" if inner else ""
            super().__init__(loop, host=host, port=own_port, listener=marked, endpoint=endpoint, **others)
        except BaseException:
            for listener in (first, second):
                if listener is not None:
                    listener.close()
            raise
        self._terms = terms
        self._by_name = terms.named.by_name if terms.named is not None else {}
        self._inner = f"\0{inner}"
        self._silence: float = others.get("heartbeat_timeout", 60.0)
        self._host = bracketed(host)
        self._events: deque[Incoming | PeerGone] = deque()  # appends are atomic
        self._woken = threading.Event()
        if unmarked is not None and terms.closed:
            loop.add_reader(unmarked.fileno(), self._knocked)
        elif unmarked is not None:
            self._open_door(unmarked)

    def _knocked(self) -> None:
        """Load the gateway, in a thread: that takes a fifth of a second."""
        assert self._door is not None
        self._loop.remove_reader(self._door.fileno())
        self._opener = threading.Thread(target=self._open_door, args=(self._door,), name="door", daemon=True)
        self._opener.start()

    def _open_door(self, listener: socket.socket) -> None:
        from stoker.gateway.gateway import Gateway, MasterCalls  # noqa: PLC0415 - see above
        from stoker.gateway.spark_rpc import Address  # noqa: PLC0415

        gateway = Gateway(listener, self._inner, silence=self._silence, terms=self._terms)
        gateway.start(MasterCalls(self._posted, self._left), Address(self._host, self.port))
        self._gateway = gateway

    def drain(self, limit: int = 1000) -> list[Incoming | PeerGone | Garbage]:
        self._woken.clear()
        self._follow_secrets()
        out = super().drain(limit)
        taken: Counter[bytes] = Counter()
        while self._events and len(out) < limit:
            event = self._events.popleft()
            out.append(event)
            taken[event.peer] += 1
        if self._events:
            self._wake()
        if taken and self._gateway is not None:
            self._gateway.taken(taken)
        return out

    @property
    def look_by(self) -> float:
        """As of the base, and to notice revoked secrets."""
        named = self._terms.named
        return super().look_by if named is None else min(super().look_by, named.look_by)

    def _follow_secrets(self) -> None:
        """Turn out the clients whose secrets were revoked. What they have sent is not read."""
        named = self._terms.named
        if named is None:
            return
        named.look_if_due()
        if named.by_name is self._by_name:
            return
        before, self._by_name = self._by_name, named.by_name
        revoked = {was.name for was in before.values() if not named.has(was)}
        if not revoked:
            return
        if self._gateway is not None:
            self._gateway.turn_out_revoked()
        for event in list(self._events):
            if isinstance(event, Incoming) and event.principal in revoked:
                self._events.remove(event)

    def send(self, peer: bytes, message: Message) -> bool:
        if isinstance(message, (LaunchDriver, LaunchExecutor)):
            message = self._with_secret(message)
        if not peer.startswith(PEER_PREFIX):
            return super().send(peer, message)
        if self._gateway is not None:
            self._gateway.send(peer, message)
        return True

    def _with_secret(self, message: LaunchDriver | LaunchExecutor) -> Message:
        """Add the secret with which a Spark driver or executor connects to its own. Only this message has it: neither records
        nor the worker's notes do (ADR 33). The secret without a name is in the worker's own settings."""
        job = message.driver if isinstance(message, LaunchDriver) else message.app
        if self._terms.named is None or job.spark is None or message.principal in (None, "", GATEWAY):
            return message
        known = self._terms.of(message.principal)
        if known is None:
            what = message.driver_id if isinstance(message, LaunchDriver) else message.app_id
            LOG.warning("%s: it starts without a secret: %s has none any more", what, message.principal)
            return message
        return msgspec.structs.replace(message, secret=known.secret)

    def call_back_application(
        self, app_id: str, app: ApplicationDescription, webui_url: str, within: float, principal: str = ""
    ) -> None:
        if self._terms.closed or self._gateway is None:
            super().call_back_application(app_id, app, webui_url, within, principal)
        else:
            from stoker.gateway.session import Returning  # noqa: PLC0415 - the gateway is loaded

            self._gateway.call_back_application(Returning(app_id, app, principal), webui_url, within)

    def close(self) -> None:
        if self._opener is not None:
            self._opener.join()
        if self._gateway is not None:
            self._gateway.close()
        elif self._door is not None:
            self._loop.remove_reader(self._door.fileno())
            self._door.close()
        super().close()

    # --- called by the gateway's thread ---

    def _posted(self, peer: bytes, message: Message, principal: str, pool: str) -> None:
        event = Incoming(peer, "", Role.CLIENT, _NAME, message, principal, "spark", pool)  # type: ignore[arg-type]
        self._hand_in(event)

    def _left(self, peer: bytes) -> None:
        self._hand_in(PeerGone(peer))

    def _hand_in(self, event: Incoming | PeerGone) -> None:
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if not self._woken.is_set():
            self._woken.set()
            self._loop.wake()
