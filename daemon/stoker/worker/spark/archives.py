"""Class-data archives on disk: ``WORK_DIR/.stoker/class-data/KEY/{archive.jsa, about.json}``.

A JVM does not check an archive: a damaged one can crash it. So its SHA-256 is checked once by each daemon, and its size
and time at each use. All of this may take a while, and runs in a thread.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec

from stoker.engines.spark_archive import Runtime
from stoker.io.disk import sha256_of
from stoker.worker.spark.store import Store

ARCHIVE, ABOUT = "archive.jsa", "about.json"


class About(msgspec.Struct, frozen=True):
    """The Spark and Java of an archive, and its content's hash."""

    home: str
    java: str
    sha256: str


class Archive(NamedTuple):
    """A checked archive; ``size`` in bytes."""

    path: Path
    size: int
    mtime_ns: int

    def is_as_checked(self) -> bool:
        try:
            status = self.path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


class Archives:
    def __init__(self, folder: Path) -> None:
        self._store = Store(folder)
        self.workshop = self._store.workshop

    def keep(self, key: str, made: Path, runtime: Runtime) -> Archive | None:
        """Move a new archive from its workshop into the store, and return it; if another worker was faster, return that
        one. Raises OSError."""
        whole = made.parent / "whole"
        whole.mkdir()
        made.rename(whole / ARCHIVE)
        about = About(str(runtime.home), runtime.java, sha256_of(whole / ARCHIVE))
        (whole / ABOUT).write_bytes(msgspec.json.encode(about))
        self._store.keep(key, whole)
        shutil.rmtree(made.parent, ignore_errors=True)
        return self.check(key)

    def check(self, key: str) -> Archive | None:
        """Return the archive if it exists and is undamaged; a damaged one is removed."""
        path = self._store.path(key) / ARCHIVE
        about = self._about(key)
        try:
            status = path.stat()
            is_good = about is not None and sha256_of(path) == about.sha256
        except FileNotFoundError:
            return None
        except OSError:
            is_good = False
        if is_good:
            return Archive(path, status.st_size, status.st_mtime_ns)
        self._store.remove(key)  # JVMs that use it keep what they have mapped
        return None

    def prune(self) -> list[str]:
        """Remove archives whose Spark or Java has changed or was removed; return the keys of the others. Raises
        OSError."""
        return self._store.prune(self._is_current)

    def _is_current(self, key: str) -> bool:
        about = self._about(key)
        try:
            return about is not None and Runtime(Path(about.home), about.java).key() == key
        except OSError:  # one of the two is gone
            return False

    def _about(self, key: str) -> About | None:
        try:
            return msgspec.json.decode((self._store.path(key) / ABOUT).read_bytes(), type=About)
        except (OSError, msgspec.DecodeError):
            return None
