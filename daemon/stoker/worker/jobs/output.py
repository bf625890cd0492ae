"""The output of a job as one sequence of bytes, over its rolled and compressed parts (``worker.keeper.parts``)."""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from stoker.worker.keeper.parts import HEADER_SIZE, MEMBER, Part, member_size, rolled_parts

MAX_OLD_PART = 64 << 20  # bytes; reading a part that a release before 0.2 compressed decompresses all of it up to there
_TRIES = 10  # to open an output that is being rolled
_SETTLED = 1.0  # seconds; a folder that has just changed may change again without another time of change
_FOLDERS = 512  # whose parts are remembered
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # without it, opening a pipe waits for its writer
_GZIP = zlib.MAX_WBITS | 16
_SIZE = struct.Struct("<I")
T = TypeVar("T")


class NotAFile(OSError):
    """A job has replaced its output by something that is not a regular file."""


class Rolled(NamedTuple):
    """A rolled part: the bytes ``start`` to ``end`` of the whole output."""

    start: int
    end: int
    path: str

    def read(self, offset: int, limit: int) -> bytes:
        """Read from ``offset`` in the whole output. Empty when the part was removed meanwhile or is damaged."""
        limit, offset = min(limit, self.end - offset), offset - self.start
        with suppress(FileNotFoundError, NotAFile):
            return _with_open(self.path, lambda descriptor: os.pread(descriptor, limit, offset))
        with suppress(FileNotFoundError, NotAFile, zlib.error):
            return _with_open(self.path + ".gz", lambda descriptor: _read_compressed(descriptor, offset, limit))
        return b""


class Current(NamedTuple):
    """The current file, which the job writes to."""

    start: int
    end: int
    descriptor: int

    def read(self, offset: int, limit: int) -> bytes:
        return os.pread(self.descriptor, limit, offset - self.start)


class OutputFile:
    """Use it as a context manager. Offsets are in bytes since the first byte ever written. ``first`` is the first byte that
    still exists, ``size`` the end; between them parts may be missing. ``file_id`` names it on this machine."""

    def __init__(self, parts: list[Rolled], descriptor: int | None, file_id: str) -> None:
        self.file_id = file_id
        self.first: int = parts[0].start if parts else 0
        self.size = parts[-1].end if parts else 0
        self._parts: list[Rolled | Current] = [*parts]
        self._descriptor = descriptor
        if descriptor is not None:
            start, self.size = self.size, self.size + os.fstat(descriptor).st_size
            self._parts.append(Current(start, self.size, descriptor))

    def __enter__(self) -> OutputFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """(where they begin, bytes): up to ``limit`` bytes from the first existing one at ``offset`` or later, to the next
        missing part. Without any, (``size``, nothing)."""
        start, pieces = offset, list[bytes]()
        for part in self._parts:
            if part.end <= offset or limit <= 0:
                continue
            if pieces and part.start != offset:
                break
            begin = max(offset, part.start)
            data = part.read(begin, limit)
            if not data and pieces:
                break
            if data:
                start = start if pieces else begin
                pieces.append(data)
                offset, limit = begin + len(data), limit - len(data)
        if not pieces and limit > 0:
            start = max(start, self.size)
        return start, b"".join(pieces)

    def read_filled(self, offset: int, length: int) -> bytes:
        """Read at exactly ``offset``, with zeros in place of missing bytes."""
        text = bytearray()
        while len(text) < length:
            at, data = self.read(offset + len(text), length - len(text))
            if not data:
                break
            text += bytes(min(at - offset, length) - len(text)) + data
        return bytes(text[:length])


class Outputs:
    """Opens outputs. ``rolls``: this worker rolls those of its executors. The parts found in a folder are remembered until
    the folder changes."""

    def __init__(self, *, rolls: bool) -> None:
        self._rolls = rolls
        self._known: OrderedDict[Path, tuple[tuple[int, int], list[Rolled]]] = OrderedDict()

    def open(self, path: Path, *, may_be_rolled: bool) -> OutputFile:
        """Raises FileNotFoundError when it does not exist (yet, or any more), NotAFile, OSError."""
        if not may_be_rolled:
            descriptor = _open(path)
            return OutputFile([], descriptor, _id_of(os.fstat(descriptor)))
        for _ in range(_TRIES):
            opened = self._try_to_open(path)
            if opened is not None:
                return opened
        raise BlockingIOError(0, "it is rolled faster than it can be read")

    def _try_to_open(self, path: Path) -> OutputFile | None:
        """Try to open the output; None when it was rolled meanwhile."""
        folder = path.parent.stat()
        try:
            descriptor = _open(path)
        except FileNotFoundError:
            parts = self._parts(path, folder, 0)
            if path.exists():
                return None
            if not parts:
                raise
            return OutputFile(parts, None, f"{_id_of(folder)}.{path.name}")
        try:
            status = os.fstat(descriptor)
            parts = self._parts(path, folder, status.st_ino)
            if path.stat(follow_symlinks=False).st_ino == status.st_ino:
                is_rolled = self._rolls or bool(parts)
                return OutputFile(parts, descriptor, f"{_id_of(folder)}.{path.name}" if is_rolled else _id_of(status))
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _parts(self, path: Path, folder: os.stat_result, inode: int) -> list[Rolled]:
        state = (folder.st_mtime_ns, inode)
        known = self._known.get(path)
        if known is not None and known[0] == state:
            self._known.move_to_end(path)
            return known[1]
        parts = _ranges(rolled_parts(str(path)))
        if abs(time.time() - folder.st_mtime) > _SETTLED:
            self._known[path] = state, parts
            if len(self._known) > _FOLDERS:
                self._known.popitem(last=False)
        return parts


def _ranges(parts: list[Part]) -> list[Rolled]:
    """Number the bytes of parts from earlier releases, whose names give no range: they follow each other from 0."""
    ranges = list[Rolled]()
    for part in parts:
        end = ranges[-1].end if ranges else 0
        if part.start < 0:
            ranges.append(Rolled(end, end + _old_size(part.path), part.path))
        elif part.start >= end:
            ranges.append(Rolled(part.start, part.end, part.path))
    return ranges


def _old_size(path: str) -> int:
    with suppress(FileNotFoundError, NotAFile):
        return _with_open(path, lambda descriptor: os.fstat(descriptor).st_size)
    with suppress(FileNotFoundError, NotAFile, struct.error):
        return _with_open(path + ".gz", lambda descriptor: _size_at(descriptor, os.fstat(descriptor).st_size))
    return 0


def _size_at(descriptor: int, end: int) -> int:
    """Return the uncompressed bytes of the gzip member that ends there, from its trailer."""
    size: int = _SIZE.unpack(os.pread(descriptor, _SIZE.size, max(0, end - _SIZE.size)))[0]
    return size


def _read_compressed(descriptor: int, offset: int, limit: int) -> bytes:
    """Decompress a part. Raises zlib.error for a damaged file."""
    pieces = []
    at, end = 0, os.fstat(descriptor).st_size
    while at < end and limit > 0:
        size = member_size(os.pread(descriptor, HEADER_SIZE, at))
        if not size:
            return _read_old(descriptor, offset, limit)
        if size <= HEADER_SIZE or at + size > end:
            raise zlib.error("a member is cut off")
        length = _size_at(descriptor, at + size)
        if offset < length:
            text = zlib.decompressobj(_GZIP).decompress(os.pread(descriptor, size, at), MEMBER)
            pieces.append(text[offset : offset + limit])
            limit -= len(pieces[-1])
        offset = max(0, offset - length)
        at += size
    return b"".join(pieces)


def _read_old(descriptor: int, offset: int, limit: int) -> bytes:
    """Return the uncompressed bytes of a file that is one member, by decompressing it."""
    stream, text, at = zlib.decompressobj(_GZIP), bytearray(), 0
    while len(text) < limit and offset <= MAX_OLD_PART:
        packed = stream.unconsumed_tail or os.pread(descriptor, 65536, at)
        at += 0 if stream.unconsumed_tail else len(packed)
        data = stream.decompress(packed, MEMBER)
        if not data and (stream.eof or not packed):
            break
        skipped = min(offset, len(data))
        offset -= skipped
        text += data[skipped:]
    return bytes(text[:limit])


def _with_open(path: str, use: Callable[[int], T]) -> T:
    descriptor = _open(path)
    try:
        return use(descriptor)
    finally:
        os.close(descriptor)


def _open(path: str | Path) -> int:
    """Raises NotAFile, OSError."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotAFile(0, "the output is a symbolic link") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFile(0, "the output is not a file (any more)")
    return descriptor


def _id_of(status: os.stat_result) -> str:
    return f"{status.st_dev:x}.{status.st_ino:x}"
