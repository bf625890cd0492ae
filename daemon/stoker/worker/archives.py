"""Class-data archives on disk: ``WORK_DIR/.stoker/class-data/KEY/{archive.jsa, about.json}``, for all workers of the folder.

A JVM believes what is in an archive: a damaged one can crash it. So an archive comes here whole or not at all, its SHA-256 is
checked once by each daemon, and its size and time at each use. All of this may take a while, and runs in a thread.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from stoker.engines.spark_archive import Runtime
from stoker.io.disk import sha256_of, to_disk

ARCHIVE, ABOUT = "archive.jsa", "about.json"
ABANDONED = 24 * 3600.0  # seconds until a folder in which somebody made an archive goes


class About(msgspec.Struct, frozen=True):
    """What an archive was made for, and its content's hash."""

    home: str
    java: str
    sha256: str


class Archive(NamedTuple):
    """One that was checked; ``size`` in bytes."""

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
        self._folder = folder

    def workshop(self, key: str, worker: str) -> Path:
        """An empty folder where ``worker`` (its slot's name) makes that archive. Raises OSError."""
        path = self._folder / f"{key}.{worker}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True, mode=0o700)
        return path

    def keep(self, key: str, made: Path, runtime: Runtime) -> Archive | None:
        """Take a file that was just made in a workshop, which goes; if another worker was faster, its archive. Raises
        OSError."""
        whole = made.parent / "whole"
        whole.mkdir()
        made.rename(whole / ARCHIVE)
        about = About(str(runtime.home), runtime.java, sha256_of(whole / ARCHIVE))
        (whole / ABOUT).write_bytes(msgspec.json.encode(about))
        for path in (whole / ARCHIVE, whole / ABOUT, whole):
            to_disk(path)
        with contextlib.suppress(OSError):  # it is there
            whole.rename(self._folder / key)
        shutil.rmtree(made.parent, ignore_errors=True)
        return self.check(key)

    def check(self, key: str) -> Archive | None:
        """The archive, if it is there and undamaged; what is left of a damaged one is removed."""
        path = self._folder / key / ARCHIVE
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
        self.remove(key)
        return None

    def remove(self, key: str) -> None:
        """JVMs that use it keep what they have mapped."""
        shutil.rmtree(self._folder / key, ignore_errors=True)

    def prune(self) -> list[str]:
        """Remove those of a Spark or a Java that has changed or is gone; the keys of the others. Raises OSError."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if self._is_current(path)]

    def _is_current(self, path: Path) -> bool:
        if "." in path.name:  # a workshop
            if path.stat().st_mtime < time.time() - ABANDONED:
                self.remove(path.name)
            return False
        about = self._about(path.name)
        try:
            if about is not None and Runtime(Path(about.home), about.java).key() == path.name:
                return True
        except OSError:
            pass  # one of the two is gone
        self.remove(path.name)
        return False

    def _about(self, key: str) -> About | None:
        try:
            return msgspec.json.decode((self._folder / key / ABOUT).read_bytes(), type=About)
        except (OSError, msgspec.DecodeError):
            return None
