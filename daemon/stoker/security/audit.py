"""The audit trail: who changed what, or was refused, through every door (docs/security.md, "Audit").

One line an event, in the file of ``open_trail`` (0600), and in syslog where that is set. Values are percent-encoded where
they are not plain, so no value can forge a line or a field.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
from urllib.parse import quote

from stoker.errors import ConfigError

LOG = logging.getLogger("stoker.audit")
_PLAIN = "/:@._-+,"
_IS_PLAIN = re.compile(rf"[A-Za-z0-9~{re.escape(_PLAIN)}]*").fullmatch
_WIDEST = 200  # characters of a value
_PRIORITY = 10 * 8 + 6  # syslog's authpriv.info (RFC 5424, 6.2.1)
_UNSET = 2**32 - 1  # a login uid that no login has set


class _Refusals:
    """How many refusals this process has recorded. Its trail is one, whichever thread writes there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def add(self) -> None:
        with self._lock:
            self.count += 1


_REFUSALS = _Refusals()


def refusals() -> int:
    """Return how many refusals this process has recorded since it started."""
    return _REFUSALS.count


def audit(
    action: str, target: str = "-", result: str = "done", *, who: str, role: str = "", door: str = "", address: str = ""
) -> None:
    """Record that ``who`` (a proved name; "" for nobody in particular) asked for ``action``, and the ``result``: "done", or
    why it was refused."""
    write([line_of(action, target, result, who=who, role=role, door=door, address=address)])


def line_of(action: str, target: str, result: str, *, who: str, role: str, door: str, address: str) -> str:
    """Return the line of such an event, without its time, and count it if it is a refusal."""
    if result != "done" and not result.startswith("unanswered"):
        _REFUSALS.add()
    line = f"action={_written(action)} target={_encoded(target)} {_asker(who, role, address)} result={_written(result)}"
    return f"{line} door={_written(door)}" if door else line


def write(lines: Sequence[str]) -> None:
    """Write lines of ``line_of`` to the trail, all at once: a master that answers many requests in a round pays for one
    write."""
    if lines:
        LOG.info("%s", "\n".join(lines))


@lru_cache(4096)
def _asker(who: str, role: str, address: str) -> str:
    return f"who={_encoded(who)} role={_encoded(role)} from={_encoded(address)}"


@lru_cache(4096)
def _written(value: str) -> str:
    return _encoded(value)


def _encoded(value: str) -> str:
    value = value[:_WIDEST]
    return (value if _IS_PLAIN(value) else quote(value, _PLAIN)) or "-"


def open_for_command(file: Path, syslog: str = "") -> None:
    """Open the trail before a command changes keys or tokens: what cannot be recorded is not done. Raises ConfigError."""
    open_trail("command", file, syslog)


def audit_command(action: str, target: str) -> None:
    """Record a change that this process made, by the unix user that the kernel names."""
    audit(action, target, who=_unix_name(os.getuid()) if hasattr(os, "getuid") else "", role=_login(), door="command")


def open_trail(daemon: str, path: Path, syslog: str = "") -> None:
    """Write the events of this process to a file, and to ``syslog`` ("", a socket's path, or HOST:PORT by UDP). Lines name
    the ``daemon``. Raises ConfigError."""
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)
        handler.close()
    file = _File(path)
    file.setFormatter(_Layout(f"{daemon}[{os.getpid()}]"))
    LOG.addHandler(file)
    if syslog:
        LOG.addHandler(_Syslog(syslog, f"stoker-{daemon}[{os.getpid()}]"))
    LOG.propagate = False  # a second copy, in the daemon's log, would cost as much again
    LOG.setLevel(logging.INFO)


class _Layout(logging.Formatter):
    """Puts the time (UTC) and the process before each line of a record."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        before = f"{second}.{int(record.msecs):03}Z {self._process} "
        return "".join(f"{before}{line}\n" for line in record.getMessage().split("\n"))


class _File(WatchedFileHandler):
    """Appends lines to a private file, which may be renamed meanwhile (logrotate). A failure is logged once, until it
    succeeds again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            super().__init__(path, encoding="utf-8")
        except OSError as error:
            raise ConfigError(_problem(path, error)) from None

    def _open(self) -> TextIOWrapper:
        return open(_opened(self._path), "a", encoding="utf-8")  # each line is one write: several processes append

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.reopenIfNeeded()
            if self.stream is None:  # the last try failed
                self.stream = self._open()
                self._statstream()
            self.stream.write(self.format(record))
            self.stream.flush()
            self._failed = False
        except OSError as error:
            if not self._failed:
                self._failed = True
                logging.getLogger("stoker.security").error("%s", _problem(self._path, error))


class _Syslog(logging.Handler):
    """Sends lines to syslog and never waits for it: what does not fit is lost there, and is in the file."""

    def __init__(self, where: str, ident: str) -> None:
        super().__init__()
        self._ident = ident
        try:
            if where.startswith("/"):
                self._address: str | tuple[str, int] = where
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
                    probe.connect(where)
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            else:
                host, _, port = where.rpartition(":")
                family, kind, protocol, _, address = socket.getaddrinfo(
                    host.strip("[]"), int(port), type=socket.SOCK_DGRAM
                )[0]
                self._address = (str(address[0]), int(address[1]))
                self._socket = socket.socket(family, kind, protocol)
        except OSError as error:
            raise ConfigError(f"spark.stoker.audit.syslog {where}: {error.strerror}") from None
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for line in record.getMessage().split("\n"):
                self._socket.sendto(f"<{_PRIORITY}>{self._ident}: {line}".encode(), self._address)
        except OSError as error:
            logging.getLogger("stoker.security").debug("syslog did not take an audit line: %s", error)

    def close(self) -> None:
        self._socket.close()
        super().close()


def _opened(path: Path) -> int:
    """Open the file for appending; make it first, and let it belong to its folder's owner. Raises OSError, also when it is a
    link, not a file, or another user's."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
    try:
        status, folder = os.fstat(descriptor), path.parent.stat()
        me = os.geteuid() if hasattr(os, "geteuid") else status.st_uid
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (me, folder.st_uid):
            raise PermissionError(1, "it is not a file of this user")
        if me == 0 and status.st_uid != folder.st_uid:
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        if status.st_mode & 0o077 and status.st_uid == me and hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _problem(path: Path, error: OSError) -> str:
    return (
        f"cannot write the audit file {path}: {error.strerror}; set STOKER_STATE_DIR to a folder that the daemon may write,"
        " or only spark.stoker.audit.file to another file"
    )


def _login() -> str:
    """Return, as a role, who logged in, where that is not the user of this process: ``sudo`` changes the one only."""
    try:
        uid = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ""
    me = os.getuid() if hasattr(os, "getuid") else uid
    return f"login:{_unix_name(uid)}" if uid not in (_UNSET, me) else ""


def _unix_name(uid: int) -> str:
    try:
        import pwd  # noqa: PLC0415 - Unix

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)
