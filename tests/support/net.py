"""A master's Server with its loop, links to it, and waits for their events: for tests over real sockets."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

from stoker.core.model.messages import GetStatus, Message
from stoker.core.model.states import Role
from stoker.io.loop import Loop
from stoker.io.sockets import Closed, Garbage, Incoming, Link, Opened, PeerGone, Server
from stoker.security.authorizer import Authorizer
from stoker.security.keys import Keys
from stoker.wire import codec

DEADLINE = 20.0  # seconds: far more than anything here takes, so that a busy machine fails no test


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
    except OSError:
        return False
    return True


class Net:
    """A server and its peers, all driven by one loop; ``events`` and each link's ``heard`` keep the order of arrival."""

    def __init__(self, folder: Path, *, authenticate: bool = True, make: type[Server] = Server, **options: Any) -> None:
        self.keys = Keys.open(folder / "keys", create=tuple(Role)) if authenticate else None
        self.authorizer = Authorizer(self.keys.folder) if self.keys else None
        self.loop = Loop()
        self.options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, **options}
        try:
            self.server = make(self.loop, keys=self.keys, authorizer=self.authorizer, **self.options)
        except BaseException:
            self.loop.close()
            raise
        self.address = f"127.0.0.1:{self.server.port}"
        self.events: list[Any] = []
        self.links: list[LinkedPeer] = []
        self.strangers: list[zmq.Socket[bytes]] = []  # closed with the rest: a context waits for all of its sockets
        self.draining = True

    def link(self, role: Role = Role.CLIENT, name: str = "n", **options: Any) -> LinkedPeer:
        settings = {"address": self.address, "keys": self.keys, "decoder": codec.to_client, **options}
        peer = LinkedPeer(self, Link(self.loop.context, role=role, name=name, **settings))
        self.links.append(peer)
        return peer

    def until(self, condition: Callable[[], object], *, within: float = DEADLINE, what: str = "") -> None:
        """Run the loop until ``condition``; fail after ``within`` seconds."""
        end = time.monotonic() + within

        def on_round() -> float:
            if self.draining:
                self.events += self.server.drain()
            for peer in list(self.links):
                peer.heard += peer.link.drain()
            if condition():
                self.loop.stop()
            elif time.monotonic() > end:
                raise AssertionError(f"not within {within} s: {what or condition}; {self.events[-5:]}")
            return time.monotonic() + 0.02  # conditions may also depend on things other than sockets

        self.loop.run(on_round)

    def settle(self) -> None:
        """Run until the server has handled all that was sent before: a new client asks a question and receives the answer."""
        probe = self.opened()
        probe.link.send(GetStatus(request=1))
        self.until(lambda: probe.name in self.names(Incoming))
        probe.close()
        self.until(lambda: probe.name in self.names(PeerGone))
        self.events = [event for event in self.events if event.peer != probe.peer]

    def opened(self, role: Role = Role.CLIENT, name: str = "n", **options: Any) -> LinkedPeer:
        peer = self.link(role, name, **options)
        self.until(lambda: Opened() in peer.heard, what="open")
        return peer

    def of(self, kind: type[Incoming | PeerGone | Garbage], peer: bytes | None = None) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and peer in {None, event.peer}]

    def names(self, kind: type[Incoming | PeerGone | Garbage]) -> list[bytes]:
        return [event.peer for event in self.of(kind)]

    def close(self) -> None:
        for peer in list(self.links):
            peer.close()
        for stranger in self.strangers:
            stranger.close(0)
        self.server.close()
        self.loop.close()


class LinkedPeer:
    """A link, and what it reported."""

    def __init__(self, net: Net, link: Link[Any]) -> None:
        self.net = net
        self.link = link
        self.heard: list[Any] = []
        self.peer = self.name = bytes(link.sources()[0].get(zmq.ROUTING_ID))
        for source in link.sources():
            net.loop.add_reader(source)

    @property
    def is_open(self) -> bool:
        return any(isinstance(item, Opened) for item in self.heard) and self.closed is None

    @property
    def closed(self) -> Closed | None:
        return next((item for item in self.heard if isinstance(item, Closed)), None)

    def ask(self, message: Message) -> None:
        assert self.link.send(message)

    def close(self) -> None:
        if self in self.net.links:
            self.net.links.remove(self)
            for source in self.link.sources():
                self.net.loop.remove_reader(source)
            self.link.close()


CHILD = """
import sys
from pathlib import Path
import zmq
from stoker.core.model.messages import GetStatus
from stoker.core.model.states import Role
from stoker.security.keys import Keys
from stoker.io.sockets import Link, Opened
from stoker.wire import codec

folder, address, name = sys.argv[1:]
keys = Keys.open(Path(folder), create=None) if folder else None
link = Link(zmq.Context(), address=address, keys=keys, role=Role.CLIENT, name=name, decoder=codec.to_client)
while link.wait(30):
    for item in link.drain():
        if isinstance(item, Opened):
            link.send(GetStatus(request=1))
"""


@contextlib.contextmanager
def child(net: Net, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A peer in its own process, which asks for the status once; the server has received it when the block starts."""
    folder = str(net.keys.folder) if net.keys else ""
    prefix = f"client/{name}/".encode()
    before = set(net.names(Incoming))
    process = subprocess.Popen([sys.executable, "-c", CHILD, folder, net.address, name])
    try:
        net.until(lambda: any(peer.startswith(prefix) for peer in set(net.names(Incoming)) - before), what=name)
        yield process
    finally:
        process.kill()
        process.wait()


def raw_dealer(net: Net, identity: bytes, role: Role = Role.CLIENT) -> zmq.Socket[bytes]:
    """Return a socket that speaks ZMTP with a valid key, and on which a test may send any bytes."""
    dealer: zmq.Socket[bytes] = net.loop.context.socket(zmq.DEALER)
    dealer.set(zmq.LINGER, 0)
    dealer.set(zmq.ROUTING_ID, identity)
    if net.keys is not None:
        public, secret = net.keys.pair(role)
        dealer.set(zmq.CURVE_PUBLICKEY, public.encode())
        dealer.set(zmq.CURVE_SECRETKEY, secret.encode())
        dealer.set(zmq.CURVE_SERVERKEY, net.keys.master_key(net.address).encode())
    dealer.connect(f"tcp://{net.address}")
    net.strangers.append(dealer)
    return dealer
