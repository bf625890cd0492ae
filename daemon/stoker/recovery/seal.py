"""A record's form in a store: a format byte, a CRC over key and value, the value. It shows whether a record is torn,
foreign, of a later format, or stored under another record's key."""

from __future__ import annotations

import zlib

FORMAT = 1
_FORMAT = bytes([FORMAT])
_CRC = slice(1, 5)
_VALUE = slice(5, None)


def seal(key: bytes, value: bytes) -> bytes:
    return _FORMAT + _crc(key, value) + value


def unseal(key: object, sealed: object) -> bytes | None:
    """Return the value, or None when ``sealed`` was not sealed under this key."""
    if not isinstance(key, bytes) or not isinstance(sealed, bytes) or sealed[:1] != _FORMAT:
        return None
    value = sealed[_VALUE]
    return value if _crc(key, value) == sealed[_CRC] else None


def _crc(key: bytes, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key)).to_bytes(4, "big")
