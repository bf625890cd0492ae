"""``spark.deploy.recoveryMode FILESYSTEM``: SQLite in the recovery directory (DESIGN section 4).

WAL with ``synchronous=FULL`` is one fsync a batch, and an exclusive lock taken at the start means that one master has
the store and no shared memory file is needed, so it works on one NFS mount too. Each record carries a format byte and
a CRC, so that a torn or foreign one is recognised, put aside and named while the rest is recovered.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

from stoker.recovery.base import RecoveryEngine, StorageFailed

LOG = logging.getLogger("stoker.recovery")
FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (key TEXT, value BLOB, reason TEXT, at REAL);
"""


class FilesystemRecovery(RecoveryEngine):
    """Opens (and makes) ``directory/recovery.sqlite``. Raises StorageFailed naming the holder when another master has
    it, or the fix when it cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "recovery.sqlite"
        self._holder = directory / "holder"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.close(descriptor)
        except OSError as error:
            raise StorageFailed(f"cannot use the recovery directory {directory}: {error.strerror}") from None
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=0, check_same_thread=False)
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript("BEGIN EXCLUSIVE;" + _SCHEMA + "COMMIT;")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StorageFailed(f"the recovery directory {self._directory} is held by {self._held_by()}") from None
            raise StorageFailed(f"cannot use {self._path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise StorageFailed(
                f"{self._path} is damaged ({error}): move it aside to start without its records, or restore it"
            ) from None
        self._holder.write_text(f"process {os.getpid()} on {os.uname().nodename}\n")
        return connection

    def _held_by(self) -> str:
        try:
            return f"another master ({self._holder.read_text().strip()})"
        except OSError:
            return "another master"

    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        puts = [(key, _seal(value)) for key, value in writes.items() if value is not None]
        drops = [(key,) for key, value in writes.items() if value is None]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", puts)
            self._connection.executemany("DELETE FROM records WHERE key = ?", drops)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StorageFailed(f"cannot write to {self._path}: {error}") from None

    def read(self) -> dict[str, bytes]:
        try:
            rows = self._connection.execute("SELECT key, value FROM records").fetchall()
        except sqlite3.Error as error:
            raise StorageFailed(f"cannot read {self._path}: {error}") from None
        records = {}
        for key, sealed in rows:
            value = _unseal(sealed)
            if value is None:
                self.quarantine(key, "it is torn, or of another version")
            else:
                records[key] = value
        return records

    def quarantine(self, key: str, reason: str) -> None:
        LOG.error("record %s is put aside: %s", key, reason)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "INSERT INTO quarantine SELECT key, value, ?, ? FROM records WHERE key = ?", (reason, time.time(), key)
            )
            self._connection.execute("DELETE FROM records WHERE key = ?", (key,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StorageFailed(f"cannot write to {self._path}: {error}") from None

    def close(self) -> None:
        self._connection.close()
        self._holder.unlink(missing_ok=True)


def _seal(value: bytes) -> bytes:
    return bytes([FORMAT]) + zlib.crc32(value).to_bytes(4, "big") + value


def _unseal(sealed: object) -> bytes | None:
    if not isinstance(sealed, bytes) or len(sealed) < 5 or sealed[0] != FORMAT:
        return None
    value = sealed[5:]
    return value if zlib.crc32(value) == int.from_bytes(sealed[1:5], "big") else None
