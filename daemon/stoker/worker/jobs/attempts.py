"""Which part of a driver's output each attempt wrote.

Attempts on the same worker append to the same files. Before each, the worker notes the sizes of both in ``.attempts`` in the
driver's folder, one line each: ``NUMBER STDOUT STDERR`` (bytes). The job owns the folder, so every line may be missing or
wrong: that changes only which of the job's own bytes are shown.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stoker.worker.jobs.output import OutputFile

NAME = ".attempts"
_MOST = 64 * 1024  # bytes of the file that are read: its end
_LINE = re.compile(rb"([0-9]{1,9}) ([0-9]{1,18}) ([0-9]{1,18})")
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Section(NamedTuple):
    """The bytes ``start`` to ``end`` of an output; ``end`` None: to its end, which may still grow."""

    start: int
    end: int | None


class Excerpt:
    """A section of an output, with the interface of an output: its first byte has number 0."""

    def __init__(self, output: OutputFile, section: Section) -> None:
        end = output.size if section.end is None else min(section.end, output.size)
        # A job may have truncated its output: then the section of its latest attempt is all there is.
        start = section.start if section.start <= output.size or section.end is not None else 0
        self._output = output
        self._start = min(start, end)
        self.first = 0
        self.size = end - self._start
        self.file_id = f"{output.file_id}.{self._start}"

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """As ``OutputFile.read``."""
        at, data = self._output.read(self._start + offset, min(limit, max(0, self.size - offset)))
        return at - self._start, data

    def read_filled(self, offset: int, length: int) -> bytes:
        """As ``OutputFile.read_filled``."""
        return self._output.read_filled(self._start + offset, min(length, max(0, self.size - offset)))


def note_attempt(folder: Path, attempt: int) -> None:
    """Note that ``attempt`` begins to write now. Without room for the note the attempt's output shows as part of the one
    before it."""
    line = f"{attempt} {_size(folder / 'stdout')} {_size(folder / 'stderr')}\n"
    with suppress(OSError):
        descriptor = os.open(folder / NAME, _APPEND, 0o640)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def section_of(folder: Path, attempt: int, stream: str) -> Section | None:
    """Return the part that ``attempt`` wrote; None if it has not started here. Attempts before the first note, by a worker
    of release 0.1.0, share one section."""
    starts = _starts(folder, stream)
    later = [start for number, start in starts.items() if number > attempt]
    if attempt in starts:
        return Section(starts[attempt], min(later, default=None))
    if not starts or attempt < min(starts):
        return Section(0, min(later, default=None))
    return None


def _starts(folder: Path, stream: str) -> dict[int, int]:
    """Return where each noted attempt began."""
    column = 2 if stream == "stdout" else 3
    return {int(match[1]): int(match[column]) for match in map(_LINE.fullmatch, _lines(folder)) if match}


def _lines(folder: Path) -> list[bytes]:
    with suppress(OSError):
        descriptor = os.open(folder / NAME, _READ)
        try:
            size = os.fstat(descriptor).st_size
            return os.pread(descriptor, _MOST, max(0, size - _MOST)).splitlines()
        finally:
            os.close(descriptor)
    return []


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat(follow_symlinks=False).st_size
    return 0
