"""The slot of a worker: ``WORK_DIR/.stoker/worker-N``, for workers that share a work directory.

A daemon takes the first slot whose lock is free, so a restarted worker finds the slot of the one before it: its keeper,
its port, and whether it is draining.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from pathlib import Path

import msgspec

from stoker.core.model.values import DrainMark
from stoker.errors import ConfigError
from stoker.io.disk import make_private, write_durably

LOG = logging.getLogger("stoker.worker")

MAX_SLOTS = 1000


class Slot:
    """Held until the process ends."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def take(cls, work_dir: Path) -> Slot:
        """Raises ConfigError when the work directory cannot be used."""
        base = work_dir / ".stoker"
        try:
            work_dir.mkdir(parents=True, exist_ok=True)
            _refuse_another_users(work_dir)
            make_private(base)
            for number in range(1, MAX_SLOTS):
                folder = base / f"worker-{number}"
                make_private(folder)
                lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(lock)
                    continue
                return cls(folder, lock)
        except OSError as error:
            place = f" {error.filename}:" if error.filename not in (None, str(work_dir)) else ""
            raise ConfigError(
                f"cannot use the work directory {work_dir}:{place} {error.strerror}: choose another with -d or"
                " SPARK_WORKER_DIR"
            ) from None
        raise ConfigError(f"{work_dir} has {MAX_SLOTS} workers already")

    @property
    def last_port(self) -> int:
        """Return the port of this slot's last worker; 0 if there is none."""
        try:
            return int((self.folder / "port").read_text())
        except (OSError, ValueError):
            return 0

    def remember_port(self, port: int) -> None:
        """Store the port. A failure is logged: the next daemon then uses another port."""
        try:
            (self.folder / "port").write_text(f"{port}\n")
        except OSError as error:
            LOG.warning(
                "cannot write %s: %s; a restart of this worker may change its port", self.folder / "port", error
            )

    @property
    def drain(self) -> DrainMark:
        """Return the last drain mark of this slot's worker. A master with records overrides it."""
        path = self.folder / "drain"
        try:
            return msgspec.json.decode(path.read_bytes(), type=DrainMark)
        except FileNotFoundError:
            return DrainMark()
        except (OSError, msgspec.DecodeError) as error:
            LOG.warning("cannot read %s: %s; taken as not draining", path, error)
            return DrainMark()

    def remember_drain(self, drain: DrainMark) -> None:
        """Store the mark. A failure is logged: the mark then holds until the daemon ends."""
        path = self.folder / "drain"
        try:
            write_durably(path, msgspec.json.encode(drain))
        except OSError as error:
            LOG.warning("cannot write %s: %s; a restart of this worker may lose that it is draining", path, error)


def _refuse_another_users(work_dir: Path) -> None:
    """Raise PermissionError for a work directory that another user has made, and so can exchange what is in it."""
    owner = work_dir.stat().st_uid
    if owner not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, f"it belongs to another user (uid {owner})", str(work_dir))
