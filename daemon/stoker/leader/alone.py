"""A master without rivals leads at once; its epoch is larger than that of every master before it (docs/protocol.md)."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from stoker.errors import StokerError
from stoker.io.disk import check_owner, write_durably
from stoker.leader.base import Elected, Leadership, LeadershipEvent, parse_epoch


class AloneLeadership(Leadership):
    """Keeps the last epoch in ``folder/epoch``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, on_event: Callable[[LeadershipEvent], None]) -> None:
        on_event(Elected(self.acquire()))

    def release(self) -> None:
        """Do nothing: no other master waits to lead."""

    def acquire(self) -> int:
        """Return a new epoch: higher than the last one, and than the wall clock in milliseconds, so that it grows even if
        the folder was lost. It is on disk before it is used, and never used twice. Raises StokerError when the folder
        cannot be written, or holds something that is not an epoch."""
        path = self._folder / "epoch"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            check_owner(self._folder)
            lock = os.open(self._folder / "epoch.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                epoch = max(_read(path) + 1, int(time.time() * 1000))
                write_durably(path, f"{epoch}\n".encode())
            finally:
                os.close(lock)
        except OSError as error:
            raise StokerError(
                f"cannot keep the epoch in {self._folder}: {error.strerror or error}: free space there, or set"
                " STOKER_STATE_DIR to a folder that the master may write"
            ) from None
        return epoch


def _read(path: Path) -> int:
    """Return the last epoch, 0 if there was none. An unreadable one is not guessed: workers would refuse a master with a
    lower epoch than the last. Raises StokerError for it."""
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return 0
    except UnicodeDecodeError:
        text = ""
    epoch = parse_epoch(text)
    if epoch is None:
        raise StokerError(
            f"{path} is not an epoch ({text[:40]!r}): if this host's clock is right, remove the file: the next epoch is made"
            " from the time"
        )
    return epoch
