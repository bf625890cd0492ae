"""``GatedServer``: the master's ``Server`` with Spark clients among its peers, on the same port.

ZeroMQ's ROUTER listens on an abstract unix socket. The gateway's thread owns the port and passes ZeroMQ connections on to
it. ``drain`` returns the messages of Spark clients with all others.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import threading
from collections import Counter, deque
from typing import Any

from stoker.core.model.addresses import bracketed
from stoker.core.model.messages import Message
from stoker.core.model.states import Role
from stoker.core.model.values import ApplicationDescription
from stoker.gateway.connection import PEER_PREFIX
from stoker.gateway.door import listen
from stoker.gateway.gateway import Gateway, MasterCalls
from stoker.gateway.guard import Terms
from stoker.gateway.spark_rpc import Address
from stoker.io import listening
from stoker.io.loop import Loop
from stoker.io.peer_user import user_name
from stoker.io.server import Garbage, Incoming, PeerGone, Server

ANYBODY = Terms()
_NAME = "spark client"
GATEWAY = "gateway"  # the principal of those who know the secret (ADR 22)


class GatedServer(Server):
    """As ``Server``. ``terms``: what Spark clients must do to be let in. Raises ConfigError."""

    def __init__(
        self, loop: Loop, *, host: str, port: int, max_port_retries: int = 16, terms: Terms = ANYBODY, **others: Any
    ) -> None:
        listener = _open(host, port, max_port_retries)
        inner = f"stoker-{secrets.token_hex(16)}"
        try:
            own_port: int = listener.getsockname()[1]
            super().__init__(loop, host=host, port=own_port, endpoint=f"ipc://@{inner}", **others)
        except BaseException:
            listener.close()
            raise
        self._principal = _principal(terms)
        self._events: deque[Incoming | PeerGone] = deque()  # appends are atomic
        self._woken = threading.Event()
        silence = others.get("heartbeat_timeout", 60.0)
        self._gateway = Gateway(listener, f"\0{inner}", silence=silence, terms=terms)
        self._gateway.start(MasterCalls(self._posted, self._left), Address(bracketed(host), own_port))

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
        if taken:
            self._gateway.taken(taken)
        return out

    def send(self, peer: bytes, message: Message) -> bool:
        if not peer.startswith(PEER_PREFIX):
            return super().send(peer, message)
        self._gateway.send(peer, message)
        return True

    def call_back_application(self, app_id: str, app: ApplicationDescription, webui_url: str, within: float) -> None:
        self._gateway.call_back_application(app_id, app, webui_url, within)

    def close(self) -> None:
        with contextlib.suppress(AttributeError):  # closed before __init__ was done
            self._gateway.close()
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
    return user_name(os.geteuid()) if terms.own_user_only else ""


def _open(host: str, port: int, max_retries: int) -> socket.socket:
    numeric = listening.numeric_host(host)
    family = socket.AF_INET6 if ":" in numeric else socket.AF_INET
    for candidate in listening.candidate_ports(port, max_retries):
        try:
            listener = listen(family, (numeric, candidate))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise listening.explain_bind(host, candidate, error) from None
        else:
            listening.warn_of_other_port(host, port, candidate)
            return listener
    raise listening.no_free_port(host, port, max_retries)
