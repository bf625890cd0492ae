"""Rolling executor logs (spark.executor.logs.rolling.*): the keeper reads a process's output from a pipe and writes it
to files it rotates. Standard library only: the keeper imports nothing else."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from typing import Any

CHUNK = 65536  # bytes read at once
TURN = 16  # reads per turn, so that one chatty process does not keep the others waiting


class RollingLog:
    """``settings``: strategy ('time' or 'size'), interval (s), max_bytes, max_files (-1: all), compress."""

    def __init__(self, read_fd: int, path: str, settings: dict[str, Any]) -> None:
        self.read_fd = read_fd
        self._path = path
        self._settings = settings
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115, PTH123 - lives as long as the process's output
        self._next_roll: float = time.time() + settings["interval"]

    def pump(self) -> bool:
        """Move what is there; False at the end of the output."""
        for _ in range(TURN):
            try:
                data = os.read(self.read_fd, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                self.close()
                return False
            if self._is_due():
                self._roll()
            self._file.write(data)
        return True

    def _is_due(self) -> bool:
        if self._settings["strategy"] == "size":
            return self._file.tell() >= int(self._settings["max_bytes"])
        return time.time() >= self._next_roll

    def _roll(self) -> None:
        self._next_roll = time.time() + self._settings["interval"]
        self._file.close()
        stamp = time.strftime("%Y-%m-%d--%H-%M-%S")
        number, rolled = 0, f"{self._path}--{stamp}"
        while os.path.exists(rolled) or os.path.exists(rolled + ".gz"):  # noqa: PTH110 - no pathlib in the keeper
            number += 1
            rolled = f"{self._path}--{stamp}--{number}"
        os.rename(self._path, rolled)  # noqa: PTH104
        if self._settings["compress"]:
            with open(rolled, "rb") as source, gzip.open(rolled + ".gz", "wb") as target:  # noqa: PTH123
                shutil.copyfileobj(source, target)
            os.unlink(rolled)  # noqa: PTH108
        self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115, PTH123
        self._prune()

    def _prune(self) -> None:
        keep = self._settings["max_files"]
        if keep < 0:
            return
        folder, name = os.path.split(self._path)
        rolled = [entry.path for entry in os.scandir(folder) if entry.name.startswith(name + "--")]
        rolled.sort(key=lambda path: (os.stat(path).st_mtime_ns, path))  # noqa: PTH116
        for path in rolled[: max(0, len(rolled) - keep)]:
            os.unlink(path)  # noqa: PTH108

    def close(self) -> None:
        os.close(self.read_fd)
        self._file.close()
