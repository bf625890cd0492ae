"""``spark.network.crypto.cipher AES/GCM/NoPadding``: encrypts, and notices a changed byte, which AES/CTR does not
(CVE-2025-55039).

Each message is an int64 length, which counts itself, a header (its own length, a salt, a nonce prefix) and segments of 32 KiB
with a tag each. Its key is derived from the session's with the salt, and with the length as the context. Source: Spark's
``GcmTransportCipher``, which uses Tink's ``AesGcmHkdfStreaming``. Spark 4.0 drops all but the first message of a connection
(SPARK-56227); 4.1.4, 4.2.1 and 4.3 work.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import Any

from stoker.gateway.primitives import KEY_BYTES, Method, derive, load
from stoker.gateway.sasl import AuthError
from stoker.gateway.spark_rpc import MAX_FRAME

METHODS: dict[int, Method] = {1: "gcm1", 2: "gcm2"}
MAX_MESSAGE = MAX_FRAME + (64 << 10)  # bytes; Spark encrypts each of its frames as a message
_LENGTH = struct.Struct(">q")
_SEGMENT, _TAG, _PREFIX = 32 * 1024, 16, 7  # bytes, of a segment with its tag
_HEADER = 1 + KEY_BYTES + _PREFIX
_NUMBER = struct.Struct(">I?")  # of a segment, and whether it is the last


class GcmStream:
    """Both directions of a connection. ``keys`` are the session's keys by version of the authentication; the first message
    shows which one is in use. ``method`` is empty until then."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = dict(keys)
        self._received = bytearray()

    @property
    def method(self) -> Method:
        return METHODS[next(iter(self._keys))] if len(self._keys) == 1 else ""

    @property
    def unfinished(self) -> int:
        return len(self._received)

    def decrypt(self, data: bytes) -> bytes:
        """Return what is complete. Raises AuthError for a message that was not encrypted with this session's key."""
        self._received += data
        plain = b""
        while len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            if not _LENGTH.size + _HEADER <= length <= MAX_MESSAGE:
                raise AuthError(f"an encrypted message has the invalid length {length}")
            if len(self._received) < length:
                break
            message = bytes(self._received[:length])
            del self._received[:length]
            plain += self._opened(message)
        return plain

    def encrypt(self, data: bytes) -> bytes:
        assert self.method, "the client speaks first"
        step = _SEGMENT - _TAG
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        length = _LENGTH.pack(_LENGTH.size + _HEADER + len(data) + _TAG * len(pieces))
        salt, prefix = os.urandom(KEY_BYTES), os.urandom(_PREFIX)
        cipher = self._cipher(next(iter(self._keys.values())), salt, length)
        sealed = (cipher.encrypt(nonce, piece, None) for nonce, piece in _numbered(prefix, pieces))
        return length + bytes([_HEADER]) + salt + prefix + b"".join(sealed)

    def _opened(self, message: bytes) -> bytes:
        header = message[_LENGTH.size : _LENGTH.size + _HEADER]
        if header[0] != _HEADER:
            raise AuthError("an encrypted message has an unknown header")
        salt, prefix = header[1 : 1 + KEY_BYTES], header[1 + KEY_BYTES :]
        pieces = [message[at : at + _SEGMENT] for at in range(_LENGTH.size + _HEADER, len(message), _SEGMENT)]
        for version, key in list(self._keys.items()):
            cipher = self._cipher(key, salt, message[: _LENGTH.size])
            try:
                plain = b"".join(cipher.decrypt(nonce, piece, None) for nonce, piece in _numbered(prefix, pieces))
            except (load().InvalidTag, ValueError):
                continue
            if pieces:
                self._keys = {version: key}
            return plain
        raise AuthError("an encrypted message was changed on its way, or has another key")

    @staticmethod
    def _cipher(key: bytes, salt: bytes, length: bytes) -> Any:
        return load().AESGCM(derive(key, salt, length))


def _numbered(prefix: bytes, pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Return each segment with its nonce."""
    last = len(pieces) - 1
    return [(prefix + _NUMBER.pack(number, number == last), piece) for number, piece in enumerate(pieces)]
