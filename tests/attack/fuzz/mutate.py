"""Inputs from examples: bytes are changed, cut, repeated and mixed with pieces that parsers treat specially."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

_PIECES = (
    b"", b"\0", b"\xff" * 8, b"\n", b"\r\n\r\n", b"\\", b"\\u", b"\\\n", b"'", b'"', b"${", b"${A:-", b"$(", b"`", b"}", b"#",
    b"export A=", b"=", b":", b"[" * 300, b"{" * 300, b"(" * 300, b"${A:-" * 300, b"\xed\xa0\x80", b"\xc3\xa9", b"%00",
    b"../", b"1e999", b"9" * 400, b"-1", b"null", b"true", b"\x91" * 400, b"\x81\xa1a" * 400, b"\xdf\xff\xff\xff\xff",
    struct.pack(">I", 2**31 - 1), struct.pack(">Q", 2**63), struct.pack(">i", -1),
)  # fmt: skip


def mutated(draw: random.Random, examples: Sequence[bytes]) -> bytes:
    """Return an example, or parts of two, with one to eight changes."""
    data = bytearray(draw.choice(examples))
    if draw.random() < 0.2:
        other = draw.choice(examples)
        data[draw.randint(0, len(data)) :] = other[draw.randint(0, len(other)) :]
    for _ in range(draw.randint(1, 8)):
        at = draw.randint(0, len(data))
        change = draw.randrange(6)
        if change == 0 and at < len(data):
            data[at] = draw.randrange(256)
        elif change == 1 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif change == 2:
            del data[at : at + draw.choice((1, 1, 2, 8, 100))]
        elif change == 3:
            data[at:at] = draw.choice(_PIECES)
        elif change == 4:
            data[at:at] = data[at : at + draw.choice((1, 4, 30, 500))] * draw.choice((1, 2, 20))
        elif draw.random() < 0.3:
            del data[at:]
    return bytes(data)
