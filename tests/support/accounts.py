"""A cluster whose daemons run as an account of their own, on a machine that has further throw-away accounts.

Only processes in a mount namespace of its own see these accounts: there, other files are mounted over ``/etc/passwd`` and
``/etc/group``. It needs root, and util-linux, which every Debian has.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import STOKER, Cluster, Daemon
from tests.support.wait import wait_until

UIDS = {"stoker": 64200, "ada": 64201, "bob": 64202, "service": 420}
CAPABILITIES = "+setuid,+setgid,+kill,+chown"


def why_not() -> str:
    """Return what this machine lacks; "" if there can be accounts."""
    if os.geteuid() != 0:
        return "needs root, to have jobs of several accounts (run the tests as root, or in a container)"
    missing = [name for name in ("unshare", "nsenter", "setpriv") if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install util-linux"
    tried = subprocess.run(
        ["unshare", "-m", "mount", "--make-rprivate", "/"], capture_output=True, text=True, check=False
    )
    return f"needs mount namespaces: {tried.stderr.strip()}" if tried.returncode else ""


@pytest.fixture
def machine() -> Iterator[AccountsMachine]:
    """Skips, with the reason, where it cannot be."""
    if reason := why_not():
        pytest.skip(reason)
    with AccountsMachine() as made:
        yield made


class AccountsMachine:
    """``home`` is a folder that all accounts can pass through."""

    def __enter__(self) -> AccountsMachine:
        self.home = Path(tempfile.mkdtemp(prefix="stoker-accounts-", dir="/tmp"))
        self.home.chmod(0o755)
        passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
        for name, uid in UIDS.items():
            passwd += f"{name}:x:{uid}:{uid}::{self.folder_of(name)}:/bin/bash\n"
            group += f"{name}:x:{uid}:{'bob' if name == 'stoker' else ''}\n"
            self.folder_of(name).mkdir(mode=0o700)
            os.chown(self.folder_of(name), uid, uid)
        (self.home / "passwd").write_text(passwd)
        (self.home / "group").write_text(group)
        self._holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-ec", "\n".join([*self._mounts(), "echo ready", "exec sleep infinity"])],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()
        self._holder.communicate()
        shutil.rmtree(self.home)

    def folder_of(self, name: str) -> Path:
        return self.home / f"home-{name}"

    def _mounts(self) -> list[str]:
        lines = ["mount --make-rprivate /"]
        for name in ("passwd", "group"):
            lines.append(f"mount --bind {self.home / name} /etc/{name}")
        # Folders above this Python and this code may be closed to other accounts: show what is needed in open ones.
        needed = [Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[2]]
        closed = {next((p for p in reversed(path.parents) if not p.stat().st_mode & 0o001), None) for path in needed}
        for number, folder in enumerate(sorted(filter(None, closed))):
            shown = self.home / f"open-{number}"
            shown.mkdir()
            for path in {path for path in needed if path.is_relative_to(folder)}:
                inside = shown / path.relative_to(folder)
                inside.mkdir(parents=True, exist_ok=True)
                lines.append(f"mount --rbind {shlex.quote(str(path))} {shlex.quote(str(inside))}")
            lines.append(f"mount --rbind {shlex.quote(str(shown))} {shlex.quote(str(folder))}")
        return lines

    def words(self, account: str, *, capabilities: bool = False) -> list[str]:
        """Return the words before a command that make it run on this machine, as that account."""
        uid = str(UIDS[account])
        more = [f"--inh-caps=-all,{CAPABILITIES}", f"--ambient-caps=-all,{CAPABILITIES}"] if capabilities else []
        bounds = f"--bounding-set=-all,{CAPABILITIES}"
        enter = ["nsenter", f"--target={self._holder.pid}", "--mount", f"--wd={self.home}"]
        return [
            *enter,
            "setpriv",
            f"--reuid={uid}",
            f"--regid={uid}",
            "--clear-groups",
            bounds,
            *more,
            "--no-new-privs",
        ]

    def run(self, account: str, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
        command = [*self.words(account), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **how)


class _Unit(Daemon):
    """A daemon as a systemd unit with ``User=`` and ``AmbientCapabilities=`` starts it."""

    before: list[str]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, *STOKER, *self.words], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


class SharedCluster(Cluster):
    """Its daemons run as ``stoker``; ``as_person`` submits with the key of a person."""

    def __init__(self, machine: AccountsMachine, mode: str, *, users: str = "", **more: Any) -> None:
        self.machine = machine
        properties = {"spark.stoker.worker.runAs": mode, "spark.stoker.worker.minFreeDisk": "0"}
        super().__init__(machine.home, properties={**properties, **more.pop("properties", {})}, **more)
        conf = self.home / "conf"
        self.users = conf / "users.yml"
        self.users.write_text(users)
        for name in ("state", "work", "conf/keys"):
            folder = self.home / name
            folder.mkdir(mode=0o700)
            os.chown(folder, UIDS["stoker"], UIDS["stoker"])
        self.master = self._unit(self.master, capabilities=False)
        self.worker = [self._unit(worker, capabilities=True) for worker in self.worker]

    def __enter__(self) -> SharedCluster:
        super().__enter__()
        return self

    def _unit(self, daemon: Daemon, *, capabilities: bool) -> Daemon:
        unit = _Unit(daemon.words, {**daemon.env, "HOME": str(self.machine.folder_of("stoker"))}, daemon.log)
        unit.before = self.machine.words("stoker", capabilities=capabilities)
        return unit

    def invite(self, name: str) -> None:
        """Give a person a key, in the home folder of the account of that name."""
        made = self.machine.run("stoker", *STOKER, "keys", "invite", name, env={**self.environ, "MASTER": self.url})
        assert made.returncode == 0, made.stderr
        taken = self.machine.run(name, *STOKER, "keys", "accept", "-", env=self.of(name), input=made.stdout)
        assert taken.returncode == 0, taken.stderr

    def of(self, name: str) -> dict[str, str]:
        """Return the environment of a person's commands."""
        home = self.machine.folder_of(name)
        keep: dict[str, str] = {key: self.environ[key] for key in ("PATH", "PYTHONPATH") if key in self.environ}
        return {**keep, "HOME": str(home), "SPARK_CONF_DIR": str(home / ".config" / "stoker"), "MASTER": self.url}

    def as_person(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(name, *STOKER, *words, env=self.of(name))

    def submit_as(self, name: str, *words: str) -> str:
        done = self.as_person(name, "submit", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def keeper_pid(self) -> int:
        """Return the process id of the only keeper."""
        return wait_until(self._keeper, what="the keeper")

    def _keeper(self) -> int:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                if b"/keeper/keeper.py" in words and str(self.work).encode() in words:
                    return int(entry.name)
        return 0
