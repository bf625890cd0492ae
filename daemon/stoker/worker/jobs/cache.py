"""Uploaded files on a worker: fetched once from the master, kept by SHA-256, copied into job directories.

One download serves all drivers that wait for the file. When the master is lost, the download continues from the next
leader. Each job has a copy, so no job can change another's. A cached file is read-only. What the kernel notes of it is
checked at each use, before and after the copy: if anybody changed it, also if they set its time back, it is downloaded
again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from stoker.core.model.messages import BlobData, FetchBlob, Message
from stoker.core.model.values import Exit
from stoker.io.disk import sha256_of
from stoker.worker.jobs.refusal import folder_failure, is_own_fault

CHUNK = 256 * 1024  # bytes
IN_FLIGHT = 4  # chunks asked for ahead

_Stamp = tuple[int, int, int, int]  # inode, size, time of modification, time of change
Done = Callable[[Exit | None], None]  # called with None, or with the Exit of a job that needs the file


@dataclass
class _Download:
    sha256: str
    path: Path
    file: IO[bytes]
    size: int
    waiters: list[Done]
    asked: int = 0  # bytes asked for
    written: int = 0
    early: dict[int, bytes] = field(default_factory=dict)  # offset -> data received out of order
    hash: Any = field(default_factory=hashlib.sha256)


class BlobCache:
    """``ask`` sends to the leading master and returns whether that was possible."""

    def __init__(self, folder: Path, ask: Callable[[Message], bool]) -> None:
        self._folder = folder
        self._ask = ask
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._known: dict[str, _Stamp] = {}  # sha256 -> as stored
        self._used: dict[str, float] = {}  # sha256 -> Unix seconds of the latest copy
        self._downloads: dict[str, _Download] = {}
        self._requests: dict[int, str] = {}
        self._next_request = 1

    def path(self, sha256: str) -> Path | None:
        """Return the cached file; None when it is missing or was changed."""
        path = self._folder / sha256
        try:
            stamp = _stamp(path.lstat())
            if sha256 not in self._known:  # an earlier daemon stored it: check it once
                if stamp is None or sha256_of(path) != sha256 or _stamp(path.lstat()) != stamp:
                    path.unlink(missing_ok=True)
                    return None
                self._known[sha256] = stamp
        except OSError:
            return None
        if self._known.get(sha256) != stamp:
            self._known.pop(sha256, None)
            path.unlink(missing_ok=True)
            return None
        return path

    def copy(self, sha256: str, target: Path) -> bool:
        """Copy the cached file to ``target``, whole or not at all; False when it is missing or was changed. May be called
        from any thread. Raises OSError."""
        path = self.path(sha256)
        if path is None:
            return False
        part = target.with_name(f".{target.name}.part")
        part.unlink(missing_ok=True)
        try:
            _copy(path, part)
            if self.path(sha256) is None:  # it was changed meanwhile
                return False
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)
        self._used[sha256] = time.time()
        return True

    def fetch(self, sha256: str, size: int, done: Done) -> None:
        """Fetch the file from the master. ``done`` is called when it is stored, or when it cannot be fetched."""
        download = self._downloads.get(sha256)
        if download is not None:
            download.waiters.append(done)
            return
        path = self._folder / f"{sha256}.part-{os.getpid()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # somebody may have removed it
            file = path.open("wb")
        except OSError as error:
            done(folder_failure(error))
            return
        self._downloads[sha256] = download = _Download(sha256, path, file, size, [done])
        self._ask_more(download)

    def _ask_more(self, download: _Download) -> None:
        """Ask for the next chunks. Without a master, ``master_changed`` asks later."""
        limit = download.written + IN_FLIGHT * CHUNK
        while download.asked < max(download.size, 1) and download.asked < limit:
            request = self._next_request
            self._next_request += 1
            message = FetchBlob(request=request, sha256=download.sha256, offset=download.asked, limit=CHUNK)
            if not self._ask(message):
                return
            self._requests[request] = download.sha256
            download.asked += CHUNK

    def received(self, message: BlobData) -> None:
        download = self._downloads.get(self._requests.pop(message.request, ""))
        if download is None:
            return
        if message.error:
            self._finish(download, Exit(reason=message.error))
            return
        download.size = message.size
        download.early[message.offset] = message.data
        try:
            while download.written in download.early:
                data = download.early.pop(download.written)
                if not data:
                    break
                download.file.write(data)
                download.hash.update(data)
                download.written += len(data)
        except OSError as error:
            self._finish(download, _cannot_store(error))
            return
        if download.written >= download.size:
            self._finish(download, None)
        else:
            self._ask_more(download)

    def _finish(self, download: _Download, problem: Exit | None) -> None:
        self._downloads.pop(download.sha256, None)
        self._requests = {number: name for number, name in self._requests.items() if name != download.sha256}
        try:
            download.file.close()
            if problem is None and download.hash.hexdigest() != download.sha256:
                problem = Exit(reason="a file arrived damaged (its SHA-256 differs)")
            if problem is not None:
                download.path.unlink(missing_ok=True)
            else:
                download.path.chmod(0o555)
                target = self._folder / download.sha256
                download.path.rename(target)
                stamp = _stamp(target.lstat())
                if stamp is not None:
                    self._known[download.sha256] = stamp
        except OSError as error:
            problem = _cannot_store(error)
        for done in download.waiters:
            done(problem)

    def master_changed(self) -> None:
        """Discard outstanding answers, and ask the new master if there is one."""
        self._requests.clear()
        for download in self._downloads.values():
            download.asked = download.written
            download.early.clear()
            self._ask_more(download)

    def prune(self, older_than: float) -> None:
        """Remove files that have not been used for that many seconds."""
        limit = time.time() - older_than
        with contextlib.suppress(OSError):  # somebody removed the folder, or the disk is read-only
            for path in self._folder.iterdir():
                status = path.lstat()
                if max(status.st_atime, status.st_mtime, self._used.get(path.name, 0.0)) < limit:
                    path.unlink(missing_ok=True)
                    self._used.pop(path.name, None)


def _stamp(status: os.stat_result) -> _Stamp | None:
    """Return what changes with the file; its time of change cannot be set. None for what is not one file of one name:
    releases before 0.2 linked it into job directories."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _copy(source: Path, target: Path) -> None:
    """Copy content and mode. File systems that can share the blocks of two files do so."""
    with contextlib.ExitStack() as stack:
        reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        stack.callback(os.close, reading)
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, writing)
        left = os.fstat(reading).st_size
        try:
            while left > 0 and (copied := os.copy_file_range(reading, writing, left)):
                left -= copied
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
                raise
        while data := os.read(reading, 1 << 20):
            with memoryview(data) as view:
                written = 0
                while written < len(view):
                    written += os.write(writing, view[written:])
        os.fchmod(writing, 0o555)


def _cannot_store(error: OSError) -> Exit:
    return Exit(reason=f"cannot store files on this worker: {error.strerror}", refused=is_own_fault(error))
