"""Rolling executor logs (spark.executor.logs.rolling.*): the keeper reads a process's output from a pipe and writes it
to files that it rolls, compresses and removes. Standard library only: the keeper imports nothing else."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterable
from typing import BinaryIO

from stoker.worker.keeper.messages import Rolling
from stoker.worker.keeper.parts import MEMBER, member, part_name, rolled_parts

CHUNK = 65536  # bytes read at once
TURN = 16  # reads per turn, so that one chatty process does not keep the others waiting; more than a pipe holds


class RollingLog:
    """One output of one job. ``settings``: strategy ('time' or 'size'), interval (s), max_bytes, max_files (-1: all),
    compress."""

    def __init__(self, key: str, read_fd: int, path: str, settings: Rolling) -> None:
        self.key = key
        self.read_fd = read_fd
        self._path = path
        self._settings = settings
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115, PTH123 - lives as long as the process's output
        self._start = max((part.end for part in rolled_parts(path)), default=0)  # of this file in the whole output
        self._start = max(self._start, 0)
        self._next_roll: float = time.time() + settings["interval"]
        self._to_compress: deque[str] = deque()
        self._compression: _Compression | None = None

    def pump(self) -> bool:
        """Move the bytes that the pipe holds to the file; False at the end of the output."""
        for _ in range(TURN):
            try:
                data = os.read(self.read_fd, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                self.close()
                return False
            # A full disk loses output here, as it does for a process that writes to a file itself. It must not stop
            # the keeper.
            with contextlib.suppress(OSError):
                if self._is_due():
                    self._roll()
            with contextlib.suppress(OSError):
                self._write(data)
        return True

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]

    def _is_due(self) -> bool:
        if self._settings["strategy"] == "size":
            return self._file.tell() >= int(self._settings["max_bytes"])
        return time.time() >= self._next_roll

    def _roll(self) -> None:
        self._next_roll = time.time() + self._settings["interval"]
        end = self._start + self._file.tell()
        if end == self._start:
            return
        rolled = part_name(self._path, time.strftime("%Y-%m-%d--%H-%M-%S"), self._start, end)
        os.rename(self._path, rolled)  # noqa: PTH104
        try:
            file = open(self._path, "ab", buffering=0)  # noqa: SIM115, PTH123
        except OSError:
            os.rename(rolled, self._path)  # noqa: PTH104
            raise
        self._file.close()
        self._file, self._start = file, end
        if self._settings["compress"] and self._settings["max_files"] != 0:
            self._to_compress.append(rolled)
        self._prune()

    def _prune(self) -> None:
        keep = self._settings["max_files"]
        if keep < 0:
            return
        parts = rolled_parts(self._path)
        for part in parts[: max(0, len(parts) - max(keep, 1))]:
            _remove(part.path)
            _remove(part.path + ".gz")
        if keep == 0:  # the name of the last part stays: it says where the output goes on
            os.truncate(parts[-1].path, 0)

    # --- compression ---

    @property
    def is_behind(self) -> bool:
        return self._compression is not None or bool(self._to_compress)

    def compress(self) -> None:
        """Compress at most ``MEMBER`` bytes of a rolled part: the keeper has other work."""
        try:
            if self._compression is None:
                self._compression = _Compression(self._to_compress.popleft())
            if self._compression.step():
                return
        except OSError:
            if self._compression is not None:
                self._compression.give_up()  # the part stays as it is
        self._compression = None

    def close(self) -> None:
        os.close(self.read_fd)
        self._file.close()


class _Compression:
    """Compression of one rolled part. The new file gets its name when it is complete. Raises OSError."""

    def __init__(self, path: str) -> None:
        folder, name = os.path.split(path)
        self._path = path
        self._unfinished = os.path.join(folder, f".{name}.gz")  # noqa: PTH118
        self._source: BinaryIO = open(path, "rb")  # noqa: SIM115, PTH123
        try:
            self._target: BinaryIO = open(self._unfinished, "wb", buffering=0)  # noqa: SIM115, PTH123
        except OSError:
            self._source.close()
            raise

    def step(self) -> bool:
        """Return whether more is left to compress."""
        data = self._source.read(MEMBER)
        if data:
            rest = memoryview(member(data))
            while rest:
                rest = rest[self._target.write(rest) :]
            return True
        os.stat(self._path)  # noqa: PTH116 - it may have been pruned meanwhile
        os.rename(self._unfinished, self._path + ".gz")  # noqa: PTH104
        os.unlink(self._path)  # noqa: PTH108
        self._close()
        return False

    def give_up(self) -> None:
        self._close()
        _remove(self._unfinished)

    def _close(self) -> None:
        self._source.close()
        self._target.close()


class RollingLogs:
    """All rolled outputs of a keeper."""

    def __init__(self) -> None:
        self._open: dict[int, RollingLog] = {}  # by the descriptor of the pipe
        self._behind: list[RollingLog] = []  # what is left to compress, also of outputs that have ended

    def add(self, logs: Iterable[RollingLog]) -> None:
        self._open.update((log.read_fd, log) for log in logs)

    @property
    def descriptors(self) -> Iterable[int]:
        return self._open

    @property
    def is_behind(self) -> bool:
        return bool(self._behind)

    def pump(self, descriptor: int) -> None:
        log = self._open[descriptor]
        if not log.pump():
            del self._open[descriptor]
        if log.is_behind and log not in self._behind:
            self._behind.append(log)

    def drain(self, key: str) -> None:
        """Write the rest that an ended job left in its pipes, before its end is reported."""
        for descriptor in [descriptor for descriptor, log in self._open.items() if log.key == key]:
            self.pump(descriptor)

    def compress(self) -> None:
        """Do one step of compression for each output that has rolled parts left."""
        for log in self._behind:
            log.compress()
        self._behind = [log for log in self._behind if log.is_behind]


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
