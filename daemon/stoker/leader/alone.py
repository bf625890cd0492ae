"""A master without rivals leads at once; its epoch is larger than that of every master before it (DESIGN 3.2)."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from stoker.errors import StokerError


class AloneLeadership:
    """Keeps the last epoch in ``folder/epoch``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def acquire(self) -> int:
        """A new epoch: over the last one, and over the wall clock in milliseconds, so that it grows even when the
        folder was lost. On disk before it is used. Raises StokerError when the folder cannot be written."""
        path = self._folder / "epoch"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._folder / "epoch.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                epoch = max(_read(path) + 1, int(time.time() * 1000))
                _write(path, epoch)
            finally:
                os.close(lock)
        except OSError as error:
            raise StokerError(f"cannot keep the epoch in {self._folder}: {error.strerror}") from None
        return epoch


def _read(path: Path) -> int:
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 0
    except ValueError:
        raise StokerError(f"{path} does not hold a number: remove it if no master of this cluster runs") from None


def _write(path: Path, epoch: int) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(f"{epoch}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
