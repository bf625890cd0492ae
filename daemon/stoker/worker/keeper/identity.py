"""The accounts that a keeper's jobs run as, and the removal of what such jobs leave. Standard library only, as all the keeper
imports."""

from __future__ import annotations

import os
import subprocess
import sys

from stoker.worker.keeper.messages import Spawn
from stoker.worker.runas.accounts import NoAccount, UnixAccount, UnixAccounts
from stoker.worker.runas.capabilities import SETGID, SETUID, raised
from stoker.worker.runas.handover import hand_over

CLEAR = os.path.join(os.path.dirname(__file__), os.pardir, "runas", "clear.py")  # noqa: PTH118, PTH120


class AccountRefused(OSError):
    """The job has no account here. ``strerror``: why, and what to do."""


class Identities:
    """``accounts`` None: this keeper has no capability, and all jobs run as its own account."""

    def __init__(self, accounts: UnixAccounts | None) -> None:
        self.accounts = accounts
        self._clearing: dict[int, str] = {}  # pid -> folder

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

    def clear(self, folder: str) -> bool:
        """Begin to remove all that is in a job's folder, as the account that owns it. Return False if that is not an account
        of jobs, or nothing can be started."""
        try:
            status = os.lstat(folder)
            if self.accounts is None or not self.accounts.may_be(status.st_uid):
                return False
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
        except OSError:
            return False
        process.returncode = 0  # the keeper reaps it
        self._clearing[process.pid] = folder
        return True

    def cleared(self, pid: int) -> str:
        """Return the folder that an ended process has cleared; "" for another process."""
        return self._clearing.pop(pid, "")
