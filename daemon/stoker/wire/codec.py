"""Messages to bytes and back: MessagePack through msgspec tagged structs. Versioned, strict, size-limited.

On the wire a message is two frames: a header of one byte, ``PROTOCOL``, and the body. Undecodable frames raise
``ProtocolError``. Decoding builds plain values only and never runs code from the peer.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from stoker.core.model.messages import Message, ToClient, ToMaster, ToWorker
from stoker.errors import ProtocolError

PROTOCOL = 1
HEADER = bytes([PROTOCOL])
MAX_BODY = 32 * 1024 * 1024  # bytes; a status of 10,000 drivers is about 4 MB, an upload chunk 256 KiB
MAX_TO_MASTER = 16 * 1024 * 1024  # bytes; a worker's registration names all its jobs, anything else is smaller

_encoder = msgspec.msgpack.Encoder()
T = TypeVar("T")


def encode(message: Message, limit: int = MAX_BODY) -> list[bytes]:
    """Return the frames of a message. Raises ProtocolError when it is larger than peers accept, or contains values that
    MessagePack does not allow: integers over 64 bits, text that is not UTF-8."""
    try:
        body = _encoder.encode(message)
    except UnicodeEncodeError as error:
        raise ProtocolError(
            f"{type(message).__name__} cannot be sent: {error.object[:100]!r} is not UTF-8 text"
        ) from None
    except OverflowError as error:
        raise ProtocolError(f"{type(message).__name__} cannot be sent: {_one_line(error)}") from None
    if len(body) > limit:
        raise ProtocolError(f"{type(message).__name__} of {len(body)} bytes is over the limit of {limit}")
    return [HEADER, body]


class Decoder(Generic[T]):
    """Decodes the messages of one direction; rejects all others."""

    def __init__(self, direction: object) -> None:
        self._direction = direction

    @functools.cached_property
    def _decoder(self) -> msgspec.msgpack.Decoder[T]:
        # Made at its first use: that takes a millisecond, and most programs use only one of the three.
        return msgspec.msgpack.Decoder(self._direction)

    def decode(self, frames: Sequence[bytes | memoryview]) -> T:
        """Decode a message. Raises ProtocolError for a wrong version, frame count, size, or body."""
        if len(frames) != 2:
            raise ProtocolError(f"a message has 2 frames, not {len(frames)}")
        header, body = frames
        if bytes(header) != HEADER:
            shown = bytes(header[:8]).hex() or "none"
            raise ProtocolError(f"protocol version {shown} is not {PROTOCOL}: upgrade the older side")
        if len(body) > MAX_BODY:
            raise ProtocolError(f"a message of {len(body)} bytes is over the limit of {MAX_BODY}")
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
            raise ProtocolError(f"undecodable message: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    """Return the error as one short line: it may quote the peer, which must neither forge lines of the log nor fill it."""
    text = str(error)
    shown = "".join(character if character.isprintable() else "?" for character in text[:300])
    return shown + ("..." if len(text) > 300 else "")


to_master: Decoder[ToMaster] = Decoder(ToMaster)
to_worker: Decoder[ToWorker] = Decoder(ToWorker)
to_client: Decoder[ToClient] = Decoder(ToClient)
