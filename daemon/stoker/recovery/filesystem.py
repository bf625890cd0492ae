"""``spark.deploy.recoveryMode FILESYSTEM``: SQLite in the recovery directory (docs/high-availability.md).

* WAL with ``synchronous=FULL``: a commit is one append and one fsync, all or nothing.
* ``locking_mode=EXCLUSIVE``, taken at the start and kept: one master has the store, on whichever machine it runs, and the
  write-ahead log needs no shared memory, which makes SQLite unsafe on NFS.
* Damage is never taken for data, nor for an empty store. A damaged database does not open, because going on without it
  would lose acknowledged submissions; an operator may decide that. A single record whose format byte or CRC (over key and
  value) is wrong is moved to table ``quarantine``, and the other records are used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from stoker.io.disk import check_owner, to_disk
from stoker.recovery.base import RecoveryEngine, StorageFailed
from stoker.recovery.seal import seal, unseal

LOG = logging.getLogger("stoker.recovery")
SCHEMA_VERSION = 1  # of the tables, in PRAGMA user_version
# The errors that SQLite raises; for a damaged schema, its message may not even be valid text.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)
# Keys are bytes, so that a damaged key can still be read, named and put aside: show them with CAST(key AS TEXT).
_SCHEMA = f"""
CREATE TABLE records (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantine (key BLOB, value BLOB, reason TEXT NOT NULL, at REAL NOT NULL);
PRAGMA user_version = {SCHEMA_VERSION};
"""


class FilesystemRecovery(RecoveryEngine):
    """Opens (and makes) ``directory/recovery.sqlite``. Raises StorageFailed naming the holder when another master has
    it, or the fix when it cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "recovery.sqlite"
        self._holder = directory / "recovery.holder"
        try:
            _make(directory, self._path)
            self._connection = self._open()
        except OSError as error:
            raise StorageFailed(
                f"cannot use the recovery directory {directory}: {error.strerror or error}: let"
                " spark.deploy.recoveryDirectory name a folder that the master may write"
            ) from None

    def _open(self) -> sqlite3.Connection:
        connection = None
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=0, check_same_thread=False)
            _prepare(connection, self._path)
            self._write_holder()
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, _ERRORS):
                raise self._open_failed(error) from None
            raise
        return connection

    def _open_failed(self, error: Exception) -> StorageFailed:
        if "locked" in str(error):
            return StorageFailed(
                f"the recovery directory {self._directory} is held by {self._held_by()}: stop that one, or give this"
                " one its own spark.deploy.recoveryDirectory"
            )
        if isinstance(error, sqlite3.OperationalError):  # an error of the environment, not of the stored data
            return StorageFailed(f"cannot use {self._path}: {error}")
        return _damaged(self._path, str(error))

    def _write_holder(self) -> None:
        descriptor = os.open(self._holder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"process {os.getpid()} on {os.uname().nodename}\n")

    def _held_by(self) -> str:
        try:
            return f"another master ({self._holder.read_text(errors='replace').strip()})"
        except OSError:
            return "another master"

    def commit(self, writes: Mapping[str, bytes | None]) -> None:
        puts = [(key.encode(), seal(key.encode(), value)) for key, value in writes.items() if value is not None]
        drops = [(key.encode(),) for key, value in writes.items() if value is None]
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", puts)
            connection.executemany("DELETE FROM records WHERE key = ?", drops)

    def read(self) -> dict[str, bytes]:
        try:
            rows = self._connection.execute("SELECT key, value FROM records").fetchall()
        except _ERRORS as error:
            raise StorageFailed(f"cannot read {self._path}: {error}") from None
        records = {}
        for key, sealed in rows:
            value = unseal(key, sealed)
            if value is None:
                self._put_aside(key, sealed, "it is torn, or not of this version")
            else:
                records[key.decode()] = value
        return records

    def quarantine(self, key: str, reason: str) -> None:
        try:
            row = self._connection.execute("SELECT value FROM records WHERE key = ?", (key.encode(),)).fetchone()
        except _ERRORS as error:
            raise StorageFailed(f"cannot read {self._path}: {error}") from None
        if row is not None:
            self._put_aside(key.encode(), row[0], reason)

    def _put_aside(self, key: object, value: object, reason: str) -> None:
        name = key.decode(errors="backslashreplace") if isinstance(key, bytes) else key
        LOG.error("record %s is put aside, into table quarantine of %s: %s", name, self._path, reason)
        with self._transaction() as connection:
            connection.execute("INSERT INTO quarantine VALUES (?, ?, ?, ?)", (key, value, reason, time.time()))
            connection.execute("DELETE FROM records WHERE key = ?", (key,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                connection.execute("ROLLBACK")
            if isinstance(error, _ERRORS):
                raise StorageFailed(f"cannot write to {self._path}: {error}") from None
            raise

    def close(self) -> None:
        if self._held_by_us():
            self._holder.unlink(missing_ok=True)
        self._connection.close()

    def _held_by_us(self) -> bool:
        try:
            self._connection.execute("SELECT 1")
        except sqlite3.ProgrammingError:  # already closed: the file may be the next master's
            return False
        return True


def _make(directory: Path, path: Path) -> None:
    """Make the directory and an empty database. An existing database is not touched: opening and closing it here would
    drop the locks that this process has on it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_owner(directory)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    for folder in (directory, directory.parent):  # the new names must survive a power cut, like the content
        to_disk(folder)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Take the lock, check the database, and make the tables in an empty one."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageFailed(f"cannot use {path}: no write-ahead log is possible there (journal mode {mode})")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN EXCLUSIVE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, SCHEMA_VERSION):
        raise StorageFailed(f"{path} is of version {version}, this Stoker knows {SCHEMA_VERSION}: use the newer Stoker")
    if version == 0:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            connection.execute(statement)
    connection.execute("COMMIT")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _damaged(path, verdict)


def _damaged(path: Path, how: str) -> StorageFailed:
    line = " ".join(how.split())
    return StorageFailed(
        f"{path} is damaged ({line}): restore it, repair it with `sqlite3 {path} .recover`, or move it aside to start"
        " without its records"
    )
