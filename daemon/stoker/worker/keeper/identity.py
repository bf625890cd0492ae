"""The accounts that a keeper's jobs run as, and what the keeper does to the folders of these jobs: it measures and removes
them. Standard library only, as all the keeper imports."""

from __future__ import annotations

import os
import subprocess
import sys

from stoker.worker.keeper.messages import Clear, Cleared, Hello, Measure, Measured, Spawn, UsersFile
from stoker.worker.runas.accounts import NoAccount, UnixAccount, UnixAccounts
from stoker.worker.runas.capabilities import SETGID, SETUID, raised
from stoker.worker.runas.handover import hand_over
from stoker.worker.runas.measure import UNKNOWN, begin_measuring, result_of

CLEAR = os.path.join(os.path.dirname(__file__), os.pardir, "runas", "clear.py")  # noqa: PTH118, PTH120


class AccountRefused(OSError):
    """The job has no account here. ``strerror``: why, and what to do."""


class Identities:
    """``accounts`` None: this keeper has no capability, and all jobs run as its own account."""

    def __init__(self, accounts: UnixAccounts | None) -> None:
        self.accounts = accounts
        self._clearing: dict[int, str] = {}  # pid -> folder
        self._measuring: dict[int, tuple[str, int]] = {}  # pid -> folder, and where the result is read
        self._said: UsersFile | None = None  # to the daemon that is connected

    @property
    def helpers(self) -> set[int]:
        """Return the processes that measure and remove folders: they belong to no job."""
        return {*self._clearing, *self._measuring}

    @property
    def least_uid(self) -> int:
        """Return the lowest uid of jobs, besides the keeper's own."""
        return self.accounts.min_uid if self.accounts is not None else 0

    def of(self, message: Spawn) -> UnixAccount | None:
        """Return the account that the job must run as, None for the keeper's own. Raises AccountRefused."""
        wanted = message.get("run_as")
        if wanted is None:
            return None
        if self.accounts is None:
            raise AccountRefused(0, "this keeper cannot run jobs as other accounts: restart the worker when it is idle")
        try:
            return self.accounts.of(wanted["principal"], wanted["pool"], required=wanted["required"])
        except NoAccount as error:
            raise AccountRefused(0, str(error)) from None

    def hand_over(self, message: Spawn, account: UnixAccount | None) -> str:
        """Give the job's folders to its account, and put the account's variables into its environment. Return the account's
        name; "" if the daemon does not ask for accounts. Raises OSError."""
        wanted = message.get("run_as")
        if wanted is None or self.accounts is None:
            return ""
        if account is None:
            message["env"] = {**wanted["environment"], **message["env"]}
            return self.accounts.own
        for folder in wanted["folders"]:
            hand_over(folder, account)
        keys = f"{account.home}/.config/stoker/keys"
        message["env"] = {"STOKER_KEYS_DIR": keys, **message["env"], **account.environment}
        return account.name

    def news(self) -> UsersFile | None:
        """Return what is wrong with ``users.yml``, if the connected daemon does not know it."""
        if self.accounts is None:
            return None
        self.accounts.look()
        found: UsersFile = {"op": "users", "fault": self.accounts.fault, "has_mapping": self.accounts.has_mapping}
        if found == self._said:
            return None
        self._said = found
        return found

    def handle(self, message: Hello | Clear | Measure) -> Cleared | Measured | None:
        """Begin to measure or to remove what is in a job's folder, with the rights of the account that owns it. Return the
        answer if that is not an account of jobs, or nothing can be started."""
        if message["op"] == "hello":
            self._said = None
            return None
        folder = message["folder"]
        try:
            status = os.lstat(folder)
            if self.accounts is None or not self.accounts.may_be(status.st_uid):
                raise PermissionError
            if message["op"] == "clear":
                self._clearing[_start_clearing(folder, status)] = folder
            else:
                pid, result = begin_measuring(folder, status.st_uid, status.st_gid)
                self._measuring[pid] = (folder, result)
        except OSError:
            if message["op"] == "clear":
                return {"op": "cleared", "folder": folder}
            return {"op": "measured", "folder": folder, "bytes": UNKNOWN}
        return None

    def ended(self, pid: int) -> Cleared | Measured | None:
        """Return the answer that an ended process has found; None for another process."""
        if pid in self._clearing:
            return {"op": "cleared", "folder": self._clearing.pop(pid)}
        if pid in self._measuring:
            folder, result = self._measuring.pop(pid)
            return {"op": "measured", "folder": folder, "bytes": result_of(result)}
        return None


def _start_clearing(folder: str, status: os.stat_result) -> int:
    """Return the pid. Raises OSError."""
    with raised(SETUID, SETGID):
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.abspath(CLEAR), folder],  # noqa: PTH100
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={},
            user=status.st_uid,
            group=status.st_gid,
            extra_groups=[],
            start_new_session=True,
        )
    process.returncode = 0  # the keeper reaps it
    return process.pid
