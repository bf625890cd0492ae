# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""One run of the playbooks at a time changes a thing on a host."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import stat
import time
from collections.abc import Iterator

from ansible.module_utils.basic import AnsibleModule

PAUSE = 0.1  # seconds between two tries


@contextlib.contextmanager
def locked(module: AnsibleModule, what: str, *, timeout: float = 120.0) -> Iterator[None]:
    """Hold the host's lock on ``what``, a path. Waits ``timeout`` seconds for another holder, then fails the module with the
    holder's name. The kernel releases the lock when the holder's process ends, however it ends. Check mode takes no lock."""
    if module.check_mode:
        yield
        return
    path = os.path.join(folder(module), digest(what))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        deadline = time.monotonic() + timeout
        while not _taken(file.fileno()):
            if time.monotonic() > deadline:
                holder = os.pread(file.fileno(), 1000, 0).decode(errors="replace").strip() or "unknown"
                module.fail_json(
                    msg=f"another run of the playbooks works on {what} of this host: {holder}; wait until it has ended"
                )
            time.sleep(PAUSE)
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), f"{_me()}\n".encode(), 0)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _me() -> str:
    """Who works here, from where, since when."""
    user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    client = os.environ.get("SSH_CONNECTION", "").split()
    place = f" from {client[0]}" if client else ""
    return f"{user}{place} since {time.strftime('%Y-%m-%d %H:%M:%S')}, process {os.getpid()}"


def digest(what: str) -> str:
    """A file's name for ``what``."""
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def folder(module: AnsibleModule) -> str:
    """A folder that nobody else can write in. It is empty again after a reboot, as locks should be."""
    uid = os.geteuid()
    path = "/run/stoker-playbooks" if uid == 0 and os.access("/run", os.W_OK) else f"/tmp/stoker-playbooks-{uid}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o022:
        module.fail_json(msg=f"{path} belongs to somebody else or is open to others: remove it")
    return path
