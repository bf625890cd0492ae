"""Files that survive a power cut, and their hashes. Standard library only."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)  # clients run on Windows, too
_SMALL = 64 << 10  # bytes; Python's own SHA-256 takes a millisecond for them, loading OpenSSL four


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex. Raises OSError."""
    with path.open("rb") as file:
        data = file.read(_SMALL)
        digest = _small_sha256(data) if len(data) < _SMALL else _openssl_sha256(data)
        while data := file.read(1 << 20):
            digest.update(data)
    return str(digest.hexdigest())


def _openssl_sha256(data: bytes) -> Any:
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, which most commands do not need

    return hashlib.sha256(data)


def _small_sha256(data: bytes) -> Any:
    """Hash with Python's own SHA-256, which is there without OpenSSL. The standard library's ``random`` does the same."""
    try:
        if sys.version_info >= (3, 12):
            from _sha2 import sha256  # noqa: PLC0415
        else:
            from _sha256 import sha256  # type: ignore[import-not-found]  # noqa: PLC0415
    except ImportError:  # a Python built without
        return _openssl_sha256(data)
    return sha256(data)


def make_private(folder: Path) -> None:
    """Make a folder (0700), and those above it, for this user alone; it may exist already. Raises OSError, and EPERM when
    another user has made it beforehand: others know its name, and who owns a folder decides what is in it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_own(folder)


def check_owner(folder: Path) -> None:
    """Raise OSError (EPERM) unless the folder belongs to this user or to root."""
    owner = folder.stat().st_uid
    if owner not in (0, os.geteuid()):
        reason = f"it belongs to another user (uid {owner}): remove it, or choose another place"
        raise PermissionError(errno.EPERM, reason, str(folder))


def check_own(folder: Path) -> None:
    """Raise OSError (EPERM) unless the folder is a real one, of this user or of root, where no other user may write."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise PermissionError(errno.EPERM, "it is not a folder: remove it", str(folder))
    check_owner(folder)
    if status.st_mode & 0o022:
        raise PermissionError(errno.EPERM, f"other users may write there: chmod go-w {folder}", str(folder))


def to_disk(path: Path) -> None:
    """Flush a file's content, or the names in a folder, to the disk. Raises OSError."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):  # Windows: the system looks after the names in a folder
        return
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Replace a file atomically and durably: after a power cut there is the old content or the new one, whole.

    The file has ``mode``, and the ``owner`` (uid, gid), from its first byte on. Several processes may do this at once: the
    last one wins. Raises OSError,
    and leaves the old file and no other behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # of a process that had the same id, and was killed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    to_disk(path.parent)
