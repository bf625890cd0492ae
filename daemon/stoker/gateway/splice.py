"""A ZeroMQ peer's connection, passed on byte by byte to the ROUTER behind the door, with back-pressure in both ways.

libzmq cannot take over a connection that somebody else has accepted. So the door accepts, looks at the first byte, and
passes the peers of our own protocol on. Keys and encryption reach from end to end; when one side is closed, so is the
other, at once, which is how the ROUTER notices a peer that has died (io.presence).
"""

from __future__ import annotations

import asyncio

BUFFER = 1 << 20  # bytes written and not taken yet, above which the other side is not read


class Half(asyncio.Protocol):
    """One side of a splice: what comes in here goes out at ``other``."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Half | None = None
        self._waiting: list[bytes] = []  # come before the other side was there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=BUFFER)

    def join(self, other: Half) -> None:
        """Both are connected now."""
        self.other, other.other = other, self
        for one, another in ((self, other), (other, self)):
            assert another.transport is not None
            for data in one._waiting:
                another.transport.write(data)
            one._waiting.clear()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._waiting.append(data)
        elif self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()
