"""Spark's RPC: frames on a TCP connection, and the envelope of a message (spec/spark-rpc "Framing"). No I/O here.

A frame is an int64 length, which counts itself, and a body whose first byte is its type. A message is addressed to an
endpoint by name and carries one Java stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from stoker.gateway.java_stream import JavaStreamError, decode_text
from stoker.gateway.java_writer import short_text

MAX_FRAME = 1 << 20  # bytes; Spark's own messages to a master are some KB
MAX_FIRST_FRAME = 4096  # bytes, before the client has authenticated
MAX_NAME = 1024  # bytes of a host or an endpoint
_LENGTH = struct.Struct(">q")
_HEAD = struct.Struct(">bqi")  # type, request, size
_ONE_WAY_HEAD = struct.Struct(">bi")
_PORT = struct.Struct(">i")


class Kind(IntEnum):
    RPC_REQUEST = 3
    RPC_RESPONSE = 4
    RPC_FAILURE = 5
    ONE_WAY = 9


class RpcError(Exception):
    """The bytes are not Spark's RPC; one line says why. The connection must be closed."""


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    request: int  # 0 for ONE_WAY
    body: bytes


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Envelope:
    sender: Address | None
    receiver: Address | None
    endpoint: str
    payload: bytes


class FrameReader:
    """Turns received bytes into frames. Raises RpcError at the first invalid one; a frame has at most ``limit`` bytes."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self.limit = limit

    def __len__(self) -> int:
        """Return how many bytes wait for the rest of their frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add to the bytes, at once; return the frames that are complete, each when it is asked for."""
        self._buffer += data
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        while len(self._buffer) >= _LENGTH.size:
            length = _LENGTH.unpack_from(self._buffer)[0]
            if not _LENGTH.size < length <= self.limit:
                raise RpcError(f"invalid frame length {length}")
            if len(self._buffer) < length:
                return
            frame = bytes(self._buffer[_LENGTH.size : length])
            del self._buffer[:length]
            yield _decode(frame)


def _decode(frame: bytes) -> Frame:
    try:
        kind = Kind(frame[0])
    except ValueError:
        raise RpcError(f"unsupported frame type {frame[0]}") from None
    head = _ONE_WAY_HEAD if kind is Kind.ONE_WAY else _HEAD
    if len(frame) < head.size:
        raise RpcError("incomplete frame")
    values = head.unpack_from(frame)
    body = frame[head.size :]
    if values[-1] != len(body):
        raise RpcError("wrong length of a frame's body")
    return Frame(kind, 0 if kind is Kind.ONE_WAY else values[1], body)


def frame(kind: Kind, body: bytes, request: int = 0) -> bytes:
    head = _ONE_WAY_HEAD.pack(kind, len(body)) if kind is Kind.ONE_WAY else _HEAD.pack(kind, request, len(body))
    return _LENGTH.pack(_LENGTH.size + len(head) + len(body)) + head + body


def failure(request: int, text: str) -> bytes:
    """Return the answer that makes the client's ``ask`` fail with this text."""
    return frame(Kind.RPC_FAILURE, text.encode()[:8192], request)


def open_envelope(body: bytes) -> Envelope:
    """Raises RpcError."""
    try:
        sender, at = _address(body, 0)
        receiver, at = _address(body, at)
        endpoint, at = _text(body, at)
    except (struct.error, IndexError, JavaStreamError):
        raise RpcError("malformed addresses of a message") from None
    return Envelope(sender, receiver, endpoint, body[at:])


def seal_envelope(envelope: Envelope) -> bytes:
    addresses = b"".join(_packed(address) for address in (envelope.sender, envelope.receiver))
    return addresses + short_text(envelope.endpoint) + envelope.payload


def _packed(address: Address | None) -> bytes:
    return b"\0" if address is None else b"\1" + short_text(address.host) + _PORT.pack(address.port)


def _address(body: bytes, at: int) -> tuple[Address | None, int]:
    if not body[at]:
        return None, at + 1
    host, at = _text(body, at + 1)
    port = _PORT.unpack_from(body, at)[0]
    return Address(host, port), at + _PORT.size


def _text(body: bytes, at: int) -> tuple[str, int]:
    length = struct.unpack_from(">H", body, at)[0]
    at += 2
    if length > MAX_NAME:
        raise RpcError(f"a host or an endpoint has more than {MAX_NAME} bytes")
    if at + length > len(body):
        raise RpcError("incomplete message")
    return decode_text(body[at : at + length]), at + length
