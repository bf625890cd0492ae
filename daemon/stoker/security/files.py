"""Private files: written atomically and durably, rejected when other users can read them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from stoker.errors import ConfigError
from stoker.io.disk import write_durably

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


def read_text(path: Path) -> str:
    """Return the text of a file. Root follows no link in another user's folder: it would read any file for that user. Raises
    ConfigError."""
    flags = os.O_RDONLY | (0 if _owner_of(path.parent) is None else _NOFOLLOW)
    try:
        with os.fdopen(os.open(path, flags | _CLOEXEC), encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text") from None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read. What root writes belongs to the folder's owner, the daemon's user. Raises
    OSError."""
    write_durably(path, text.encode(), owner=_owner_of(path.parent))


def make_folder(path: Path) -> None:
    """Make a folder (0700) that belongs to its parent's owner; it may exist already. Raises OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    owner = _owner_of(path.parent)
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)


def _owner_of(folder: Path) -> tuple[int, int] | None:
    """Return the (uid, gid) of a folder if this process is root and the folder another user's; else None."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    try:
        status = folder.stat()
    except OSError:
        return None
    return (status.st_uid, status.st_gid) if status.st_uid != 0 else None


def numbered_words(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (``FILE:LINE``, words) for each line that is neither empty nor a comment. Raises ConfigError."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            yield f"{path}:{number}", words


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock that one process has at a time and that ends with it. Raises OSError, also when the lock's file is a
    link."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | _NOFOLLOW | _CLOEXEC, 0o600)
    try:
        owner = _owner_of(folder)
        if owner is not None:
            os.fchown(descriptor, *owner)
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Wait for the lock on an open file. Where the system has none, clients that make keys at the same time may collide."""
    try:
        import fcntl  # noqa: PLC0415 - Unix
    except ImportError:
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def check_private(path: Path, mode: int) -> None:
    """Check a private file. Raises ConfigError when it is missing, open to other users or owned by one; ``mode`` is the
    advised mode."""
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"no key: {path} ({error.strerror}); copy it there, or set STOKER_KEYS_DIR") from None
    if not hasattr(os, "geteuid"):  # Windows: the folder's access list says who reads it
        return
    if status.st_uid != os.geteuid() != 0:  # root reads it anyway
        fix = f"`chown {os.geteuid()} {path}`" if status.st_uid == 0 else "run this as that user or as root"
        raise ConfigError(f"{path} belongs to another user (uid {status.st_uid}): {fix}, or set STOKER_KEYS_DIR")
    if status.st_mode & 0o077:
        raise ConfigError(f"{path} is open to other users: `chmod {mode:o} {path}`")


def check_closed(path: Path, setting: str) -> None:
    """Check that only its owner can read a file that ``setting`` names. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{setting}: cannot read {path}: {error.strerror}") from None
    if hasattr(os, "geteuid") and mode & 0o077:
        raise ConfigError(f"{setting}: {path} is open to other users: `chmod 600 {path}`")


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return a stamp that changes with the file; None when it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
