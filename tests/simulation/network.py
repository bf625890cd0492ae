"""Simulated TCP with ZMTP's heartbeats. Within one connection bytes keep their order and only the tail can be lost;
between connections anything can happen. A blocked direction holds what is sent, as TCP sends it again. It is held until the
direction is unblocked, or until the receiving side has received nothing for its heartbeat timeout and closes the
connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.simulation.world import Host, World

FIN = None  # in a pipe: the other side has closed


class Process(Protocol):
    """An end of connections. ``arrived`` is called when its kernel has something for it: also while it is frozen."""

    name: str
    host: Host
    is_alive: bool
    is_frozen: bool
    incarnation: int  # how often it was started

    def arrived(self, connection: Connection, item: Arrival) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """For the side that connected."""


@dataclass(frozen=True, slots=True)
class Closed:
    reason: str


Arrival = Opened | Closed | list[bytes]


class Pipe:
    """One direction of a connection."""

    def __init__(self, connection: Connection, sender: Process, receiver: Process) -> None:
        self.connection, self.sender, self.receiver = connection, sender, receiver
        self.queue: deque[list[bytes] | None] = deque()
        self.receiver_open = True
        self.heard = connection.network.world.now  # when the receiver's side last received anything
        self._ready_at = 0.0

    @property
    def is_blocked(self) -> bool:
        network = self.connection.network
        return not self.receiver.host.is_up or (self.sender.host.name, self.receiver.host.name) in network.blocked

    def put(self, frames: list[bytes] | None) -> None:
        world = self.connection.network.world
        self._ready_at = max(self._ready_at, world.now + world.latency())
        self.queue.append(frames)
        world.at(self._ready_at, self._deliver_one)

    def _deliver_one(self) -> None:
        """Deliver one item a call. Items that came while the pipe was blocked are delivered together when it is unblocked."""
        if self.queue and not self.is_blocked:
            self._hand_over(self.queue.popleft())

    def flush(self) -> None:
        while self.queue and not self.is_blocked:
            self._hand_over(self.queue.popleft())

    def _hand_over(self, frames: list[bytes] | None) -> None:
        if not self.receiver_open:
            return
        self.heard = self.connection.network.world.now
        if frames is FIN:
            self.connection.hang_up(self.receiver, "the other side closed the connection", tell=True)
        else:
            self.receiver.arrived(self.connection, frames)

    def cut(self, kept: int) -> None:
        """Lose all messages under way but the first ``kept``."""
        while len(self.queue) > kept:
            self.queue.pop()


class Connection:
    """From a ``client`` process to a ``server`` process. ``peer`` is the client's routing id at the server."""

    def __init__(self, network: Network, client: Process, server: Process, peer: bytes) -> None:
        self.network, self.client, self.server, self.peer = network, client, server, peer
        self.incarnation = client.incarnation  # the client's, when it connected
        self.is_open = False  # the handshake is done
        self.to_server = Pipe(self, client, server)
        self.to_client = Pipe(self, server, client)

    def inward(self, process: Process) -> Pipe:
        return self.to_client if process is self.client else self.to_server

    def outward(self, process: Process) -> Pipe:
        return self.to_server if process is self.client else self.to_client

    def send(self, sender: Process, frames: list[bytes]) -> bool:
        """Return False if that side of the connection is closed, or not open yet."""
        if not self.is_open or not self.inward(sender).receiver_open:
            return False
        self.outward(sender).put(self.network.rewrite(sender, frames))
        return True

    def hang_up(self, process: Process, reason: str, *, tell: bool, lose_tail: bool = False) -> None:
        """Close this side; the other learns it when the end of the stream arrives. ``tell``: notify this side's process,
        which did not ask for it. ``lose_tail``: also lose what its process had not passed to the kernel."""
        inward, outward = self.inward(process), self.outward(process)
        if not inward.receiver_open:
            return
        inward.receiver_open = False
        inward.queue.clear()
        if lose_tail:
            outward.cut(self.network.world.rng.randint(0, len(outward.queue)))
        if outward.receiver_open and process.host.is_up:
            outward.put(FIN)
        if tell and process.is_alive:
            process.arrived(self, Closed(reason))

    @property
    def is_over(self) -> bool:
        return not (self.to_server.receiver_open or self.to_client.receiver_open)

    def check(self, timeout: float) -> None:
        """ZMTP's heartbeats, from both sides."""
        now = self.network.world.now
        for pipe in (self.to_server, self.to_client):
            sender, receiver = pipe.sender, pipe.receiver
            reaches = sender.host.is_up and not pipe.is_blocked
            if not self.inward(sender).receiver_open:
                if reaches and pipe.receiver_open and not pipe.queue:  # its kernel answers RST
                    self.hang_up(receiver, "connection reset", tell=True)
            elif reaches and sender.is_alive and not sender.is_frozen:
                pipe.heard = now
                continue
            if pipe.receiver_open and receiver.is_alive and not receiver.is_frozen and now - pipe.heard > timeout:
                self.hang_up(receiver, "no heartbeat", tell=True)


class Network:
    """``blocked`` holds (from host, to host) pairs; ``rewrite`` may change a message's bytes to those of an older or newer
    peer."""

    def __init__(
        self, world: World, heartbeat_timeout: float, rewrite: Callable[[Process, list[bytes]], list[bytes]]
    ) -> None:
        self.world, self.rewrite = world, rewrite
        self.blocked: set[tuple[str, str]] = set()
        self.heartbeat_timeout = heartbeat_timeout
        self._listeners: dict[str, Process] = {}
        self._connections: list[Connection] = []
        self._serial = 0
        world.after(heartbeat_timeout / 4, self._check)

    def listen(self, address: str, process: Process) -> None:
        self._listeners[address] = process

    def connect(self, client: Process, address: str, role: str, done: Callable[[Connection | None, Any], None]) -> None:
        """``done`` gets the open connection, or None and the reason. It is not called at all if nobody answers."""
        self._try(client, address, role, done, tries=40)

    def _try(
        self, client: Process, address: str, role: str, done: Callable[[Connection | None, Any], None], tries: int
    ) -> None:
        server = self._listeners.get(address)
        there = server is not None and server.host.is_up
        if server is None or not there or self._is_cut(client.host, server.host) or server.is_frozen:
            if tries:
                self.world.after(0.25, lambda: self._try(client, address, role, done, tries - 1))
            return
        if not server.is_alive:
            self.world.after(self.world.latency(), lambda: done(None, f"cannot connect to {address}"))
            return
        self._serial += 1
        peer = f"{role}/{client.name}/{self._serial}".encode()
        connection = Connection(self, client, server, peer)
        incarnation = server.incarnation

        def open_it() -> None:
            if not server.is_alive or server.incarnation != incarnation:
                done(None, f"{address} hung up during the handshake")
                return
            connection.is_open = True
            self._connections.append(connection)
            done(connection, None)

        self.world.after(2 * self.world.latency(), open_it)

    def _is_cut(self, one: Host, other: Host) -> bool:
        return (one.name, other.name) in self.blocked or (other.name, one.name) in self.blocked

    def of(self, process: Process) -> list[Connection]:
        return [known for known in self._connections if process in (known.client, known.server) and not known.is_over]

    def block(self, one: Host, other: Host, *, both: bool) -> None:
        self.blocked.add((one.name, other.name))
        if both:
            self.blocked.add((other.name, one.name))

    def unblock(self, pairs: set[tuple[str, str]]) -> None:
        self.blocked -= pairs
        for connection in list(self._connections):
            connection.to_server.flush()
            connection.to_client.flush()

    def break_one(self) -> Connection | None:
        """Reset a connection: what was under way is lost."""
        living = [known for known in self._connections if not known.is_over]
        if not living:
            return None
        connection = self.world.rng.choice(living)
        for pipe in (connection.to_server, connection.to_client):
            pipe.cut(self.world.rng.randint(0, len(pipe.queue)))
            if pipe.receiver_open:
                pipe.put(FIN)
        return connection

    def process_died(self, process: Process) -> None:
        """Close the sockets of a dead process, as its kernel does; without power nobody closes them."""
        for connection in self.of(process):
            connection.hang_up(process, "", tell=False, lose_tail=True)

    def _check(self) -> None:
        for connection in self._connections:
            connection.check(self.heartbeat_timeout)
        self._connections = [known for known in self._connections if not known.is_over or known.to_client.queue]
        self.world.after(self.heartbeat_timeout / 4, self._check)
