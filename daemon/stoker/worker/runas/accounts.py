"""The account of a job, by the keeper's own reading of ``users.yml``: it does not believe the daemon. Standard library only.

The rule, whatever anybody asks for: an account of this machine's list with a uid of at least ``spark.stoker.worker.minUid``;
never root, never the account or the group of the daemon. The keeper takes ``users.yml`` and ``minUid`` only from files that
the daemon's account cannot write.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import sys
from typing import NamedTuple

from stoker.config.properties_file import parse_properties
from stoker.config.users_file import FILE, Users, parse_users

MIN_UID = 1000
MIN_UID_PROPERTY = "spark.stoker.worker.minUid"

_Stamp = tuple[int, ...]


class NoAccount(Exception):
    """One line: why a job has no account here, and what to do."""


class UnixAccount(NamedTuple):
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables of its own that a log-in would set."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}


class UnixAccounts:
    """``conf_dir`` is what the starter had before the daemon began."""

    def __init__(self, conf_dir: str) -> None:
        self._users_path = f"{conf_dir}/{FILE}"
        self._defaults_path = f"{conf_dir}/spark-defaults.conf"
        self._own_uid, self._own_gid = os.getuid(), os.getgid()
        self._stamps: dict[str, _Stamp | None] = {}
        self._users: Users | None = None
        self._fault = ""  # of the file as it is now
        self._min_uid = MIN_UID
        self.look()

    @property
    def min_uid(self) -> int:
        return self._min_uid

    @property
    def fault(self) -> str:
        """Return what is wrong with ``users.yml`` as it is now; "" if nothing is."""
        return self._fault

    @property
    def has_mapping(self) -> bool:
        """Return whether a mapping is in force: that of the file, or of the file before the fault."""
        return self._users is not None

    @property
    def own(self) -> str:
        """The name of the daemon's account."""
        try:
            return pwd.getpwuid(self._own_uid).pw_name
        except KeyError:
            return str(self._own_uid)

    def of(self, principal: str, pool: str, *, required: bool) -> UnixAccount | None:
        """Return the account; None for a job that runs as the daemon's account, because it has none and needs none. Raises
        NoAccount."""
        self.look()
        users = self._users
        if users is None:
            raise NoAccount(self._fault)
        named = users.pools.get(pool) or users.principals.get(principal)
        if named is not None:
            return self._checked(named)
        try:
            if not principal:
                raise NoAccount("nobody has proved to have submitted it, so it has no account: use a key or a token")
            return self._checked(principal)
        except NoAccount as error:
            if required:
                raise NoAccount(f"{error}; or name another account for {principal or 'its pool'} in {FILE}") from None
            return None

    def may_be(self, uid: int) -> bool:
        """Return whether the keeper may act as this uid."""
        return uid >= max(self._min_uid, 1) and uid != self._own_uid

    def _checked(self, name: str) -> UnixAccount:
        """Return the account of that name. Raises NoAccount."""
        host = os.uname().nodename
        try:
            found = pwd.getpwnam(name)
        except (KeyError, ValueError):
            raise NoAccount(f"nobody is called {name} on {host}: create the account there") from None
        if not self.may_be(found.pw_uid):
            what = "is the worker's own account" if found.pw_uid == self._own_uid else f"has the uid {found.pw_uid}"
            raise NoAccount(f"{name} {what} on {host}: jobs run as accounts of people (uid {self._min_uid} or higher)")
        if found.pw_gid in (0, self._own_gid):
            group = _group_name(found.pw_gid)
            raise NoAccount(f"{name} is of the group {group} on {host}: give the account a primary group of its own")
        groups = os.getgrouplist(found.pw_name, found.pw_gid)
        allowed = tuple(gid for gid in groups if gid not in (0, self._own_gid))
        return UnixAccount(
            found.pw_name, found.pw_uid, found.pw_gid, allowed, found.pw_dir, found.pw_shell or "/bin/sh"
        )

    # --- the files ---

    def look(self) -> None:
        """Read files that have changed. A bad one changes nothing."""
        if self._has_changed(self._users_path):
            text, self._fault = self._read(self._users_path)
            users, faults = parse_users(text, self._users_path) if not self._fault else (None, [self._fault])
            self._users = self._users if users is None else users
            self._fault = faults[0] if faults else ""
            if self._fault:
                _log(self._fault)
        if self._has_changed(self._defaults_path):
            self._read_min_uid()

    def _read_min_uid(self) -> None:
        text, fault = self._read(self._defaults_path)
        try:
            wanted = int(parse_properties(text).get(MIN_UID_PROPERTY, MIN_UID)) if not fault else MIN_UID
        except ValueError:
            fault = f"{self._defaults_path}: {MIN_UID_PROPERTY} is not a number: {self._min_uid} stays"
            wanted = self._min_uid
        self._min_uid = max(wanted, 1)
        if fault:
            _log(fault)

    def _has_changed(self, path: str) -> bool:
        try:
            status = os.stat(path)  # noqa: PTH116
            found: _Stamp | None = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        except OSError:
            found = None
        if path in self._stamps and self._stamps[path] == found:
            return False
        self._stamps[path] = found
        return True

    def _read(self, path: str) -> tuple[str, str]:
        """Return the text ("" of a file that does not exist), and why it cannot be used."""
        try:
            with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123
                status = os.fstat(file.fileno())
                if status.st_uid == self._own_uid or status.st_mode & 0o022:
                    return "", (
                        f"{path} can be written by others than root, so it does not say who jobs run as:"
                        f" chown root:root {path}; chmod 644 {path}"
                    )
                folder = os.path.dirname(path)  # noqa: PTH120
                if os.stat(folder).st_uid == self._own_uid:  # noqa: PTH116 - it could put another file there
                    return (
                        "",
                        f"the worker's account owns {folder}, so {path} does not say who jobs run as: chown root {folder}",
                    )
                return file.read(), ""
        except FileNotFoundError:
            return "", ""
        except OSError as error:
            return "", f"cannot read {path}: {error.strerror}"
        except ValueError:
            return "", f"{path} is not a text file"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _log(text: str) -> None:
    with contextlib.suppress(OSError):  # the log is on a full disk
        print(ascii(text)[1:-1], file=sys.stderr, flush=True)
