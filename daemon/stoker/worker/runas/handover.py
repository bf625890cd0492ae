"""Hand a job's folders over to its account, and let the account open its outputs again. Standard library only.

The daemon has made the folders for itself alone (0700). What in them belongs to anybody else is not touched, so neither a
link nor a second name of a file can make the keeper give another file away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct

from stoker.worker.runas.accounts import UnixAccount
from stoker.worker.runas.capabilities import CHOWN, raised

_SEEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_ACL = "system.posix_acl_access"
_ACL_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_UNDEFINED = 0xFFFFFFFF
_READ, _READ_WRITE = 4, 6


def hand_over(folder: str, account: UnixAccount) -> None:
    """Give a folder of this user, and all of its own in it, to the account. Raises OSError."""
    seen = os.open(folder, _SEEN)
    try:
        _give(seen, folder, account, is_top=True)
    finally:
        os.close(seen)


def _give(seen: int, path: str, account: UnixAccount, *, is_top: bool = False) -> None:
    status = os.fstat(seen)
    if is_top and (not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid()):
        raise PermissionError(errno.EPERM, "it is not a folder of the worker", path)
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.getuid():
        return
    if stat.S_ISDIR(status.st_mode):
        inside = os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in os.listdir(inside):  # noqa: PTH208
                entry = os.open(name, _SEEN, dir_fd=inside)
                try:
                    _give(entry, f"{path}/{name}", account)
                finally:
                    os.close(entry)
        finally:
            os.close(inside)
    elif not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return
    with raised(CHOWN):
        os.chown(f"/proc/self/fd/{seen}", account.uid, account.gid)


def share_output(descriptor: int, uid: int) -> None:
    """Let the account open a file of this user again, as ``> /dev/stderr`` in a script does. An access list does it: an owner
    could keep the daemon from reading the file. On file systems without access lists this has no effect."""
    entries = (
        (_USER_OBJ, _READ_WRITE, _UNDEFINED),
        (_USER, _READ_WRITE, uid),
        (_GROUP_OBJ, _READ, _UNDEFINED),
        (_MASK, _READ_WRITE, _UNDEFINED),
        (_OTHER, 0, _UNDEFINED),
    )
    packed = struct.pack("<I", _ACL_VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    with contextlib.suppress(OSError):
        os.setxattr(descriptor, _ACL, packed)


def share_pipe(descriptor: int, account: UnixAccount) -> None:
    """The same for the pipe of a rolled output. Raises OSError."""
    with raised(CHOWN):
        os.chown(descriptor, account.uid, account.gid)
