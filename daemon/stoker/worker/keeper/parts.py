"""The parts of a rolled output: their names, and their compressed form. Standard library only: the keeper imports this.

A part is named ``stdout--2026-01-31--12-00-00--START-END``: it holds the bytes START to END of all that was ever written to
this output. With ``.gz`` it is compressed: a sequence of gzip members of ``MEMBER`` bytes each, so any gzip reads it.
An extra field in each member's header gives the member's length, so a reader skips to any place without decompressing
what comes before it. Releases before 0.2 named parts ``stdout--2026-01-31--12-00-00`` or ``...--NUMBER``, without a range.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from typing import NamedTuple

MEMBER = 1 << 20  # bytes of output in one gzip member
HEADER_SIZE = 20  # bytes of a member's header as ``member`` makes it

_HEADER = struct.Struct(
    "<4sI2sH2sHI"
)  # magic; time; flags and system; length of the extra field; its name, size, value
_TRAILER = struct.Struct("<II")  # checksum and size of the uncompressed bytes
_MAGIC, _SYSTEM, _FIELD = b"\x1f\x8b\x08\x04", b"\x00\x03", b"ST"
_NAME = re.compile(
    r"--(?P<stamp>\d{4}-\d\d-\d\d--\d\d-\d\d-\d\d)"
    r"(?:--(?P<start>\d{1,18})-(?P<end>\d{1,18})|--(?P<number>\d{1,9}))?(?P<gz>\.gz)?"
)


class Part(NamedTuple):
    """``path`` is its name without ``.gz``. ``start`` and ``end`` are -1 when the name does not say them."""

    order: tuple[int, str, int]
    start: int
    end: int
    path: str


def part_name(path: str, stamp: str, start: int, end: int) -> str:
    return f"{path}--{stamp}--{start}-{end}"


def rolled_parts(path: str) -> list[Part]:
    """Return the rolled parts of the output at ``path``, oldest first. Raises OSError."""
    folder, name = os.path.split(path)
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name, len(name)) if entry.name.startswith(name) else None
            if match is not None:
                part = _part(entry.path.removesuffix(".gz"), match)
                found[part.path] = part
    return sorted(found.values())


def _part(path: str, match: re.Match[str]) -> Part:
    if match["start"] is None:
        return Part((0, match["stamp"], int(match["number"] or 0)), -1, -1, path)
    start, end = int(match["start"]), int(match["end"])
    return Part((1, "", start), start, max(start, end), path)


def member(data: bytes) -> bytes:
    """Return a gzip member that holds ``data``."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packer.compress(data) + packer.flush()
    size = HEADER_SIZE + len(body) + _TRAILER.size
    header = _HEADER.pack(_MAGIC, 0, _SYSTEM, 8, _FIELD, 4, size)
    return header + body + _TRAILER.pack(zlib.crc32(data), len(data))


def member_size(header: bytes) -> int:
    """Return the bytes of the member with this header; 0 when ``member`` did not make it."""
    if len(header) < HEADER_SIZE:
        return 0
    magic, _, _, extra, field, length, size = _HEADER.unpack(header[:HEADER_SIZE])
    return size if (magic, extra, field, length) == (_MAGIC, 8, _FIELD, 4) else 0
