"""A ZeroMQ peer's connection, passed on byte by byte to the ROUTER behind the door, with back-pressure in both directions.

libzmq cannot take over an accepted connection. So the door accepts it, looks at the first byte, and passes ZeroMQ peers on.
Keys and encryption work from end to end. When one side closes, the other closes at once; so the ROUTER notices the end of a
peer (io.presence).
"""

from __future__ import annotations

import asyncio

BUFFER = 1 << 20  # unsent bytes above which the other side is not read


class Half(asyncio.Protocol):
    """One side of a splice: bytes received here are sent by ``other``."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Half | None = None
        self._waiting: list[bytes] = []  # received before the other side was connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=BUFFER)

    def join(self, other: Half) -> None:
        """Connect both halves, and send what has waited."""
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
