"""A record as it lies in a store: a format byte, a CRC over key and value, the value. So one that is torn, foreign or of a
later format is told from a good one, and one that lies under another's key as well."""

from __future__ import annotations

import zlib

FORMAT = 1
_FORMAT = bytes([FORMAT])
_CRC = slice(1, 5)
_VALUE = slice(5, None)


def seal(key: bytes, value: bytes) -> bytes:
    return _FORMAT + _crc(key, value) + value


def unseal(key: object, sealed: object) -> bytes | None:
    """The value, or None when it is not what was sealed under this key."""
    if not isinstance(key, bytes) or not isinstance(sealed, bytes) or sealed[:1] != _FORMAT:
        return None
    value = sealed[_VALUE]
    return value if _crc(key, value) == sealed[_CRC] else None


def _crc(key: bytes, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key)).to_bytes(4, "big")
