"""``GatedServer``: the master's ``Server`` with Spark clients among its peers, on the same port.

Marked connections (``io.port``) are the ROUTER's. The gateway's thread has all others; it passes ZeroMQ's on to an abstract
unix socket of the ROUTER. ``drain`` returns the messages of Spark clients with all others.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from stoker.core.model.addresses import bracketed
from stoker.core.model.messages import Message
from stoker.core.model.states import Role
from stoker.core.model.values import ApplicationDescription
from stoker.gateway.terms import PEER_PREFIX, Terms
from stoker.io.loop import Loop
from stoker.io.peer_user import name_of_user
from stoker.io.port import open_port
from stoker.io.server import Garbage, Incoming, PeerGone, Server

if TYPE_CHECKING:
    from stoker.gateway.gateway import Gateway

ANYBODY = Terms()
_NAME = "spark client"
GATEWAY = "gateway"  # the principal of those who know the secret (ADR 22)


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
        self._principal = _principal(terms)
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

    def send(self, peer: bytes, message: Message) -> bool:
        if not peer.startswith(PEER_PREFIX):
            return super().send(peer, message)
        if self._gateway is not None:
            self._gateway.send(peer, message)
        return True

    def call_back_application(self, app_id: str, app: ApplicationDescription, webui_url: str, within: float) -> None:
        if self._terms.closed or self._gateway is None:
            super().call_back_application(app_id, app, webui_url, within)
        else:
            self._gateway.call_back_application(app_id, app, webui_url, within)

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

    def _posted(self, peer: bytes, message: Message) -> None:
        event = Incoming(peer, "", Role.CLIENT, _NAME, message, self._principal, "spark")  # type: ignore[arg-type]
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


def _principal(terms: Terms) -> str:
    """Return what Spark clients prove: that they know the secret, or are this user (or root); else nothing (ADR 22)."""
    if terms.secret:
        return GATEWAY
    return name_of_user(os.geteuid()) if terms.own_user_only else ""
