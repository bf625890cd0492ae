# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Daemons without a service manager: each in a session of its own, with pid file and log (M(stoker.spark.stoker_daemon))."""

from __future__ import annotations

import contextlib
import glob
import os
import pathlib
import pwd
import select
import signal
import socket
import stat
import subprocess
import tempfile
import time
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule

TAIL = 10  # lines of the log shown on failure
LONGEST = 4096  # bytes read of a pid file
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Background:
    """What ``systemd.Systemd`` is where systemd is not. ``module`` is the AnsibleModule, which any failure ends."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self._starting: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}
        user = self.params.get("user")
        self._owner = pwd.getpwnam(user) if user and os.geteuid() == 0 and _is_user(user) else None
        self._sockets = tempfile.TemporaryDirectory()  # where daemons say that they are ready
        os.chmod(self._sockets.name, 0o711)

    def names(self, kind: str) -> list[str]:
        pattern = os.path.join(glob.escape(self.params["pid_dir"]), f"stoker-{kind}*.pid")
        return [os.path.basename(path)[len("stoker-") : -len(".pid")] for path in glob.glob(pattern)]

    def prepare(self, daemons: list[dict[str, Any]]) -> list[str]:
        return []

    def differs(self, daemon: dict[str, Any]) -> bool:
        return False

    def look(self, name: str) -> tuple[int, str]:
        """(pid of the running daemon, its deployment); 0 if it does not run. A pid that was given to another program since
        is not it."""
        pid, started, deployment = self._noted(name)
        is_running = pid.isdigit() and bool(started) and start_time(int(pid)) == started
        return (int(pid) if is_running else 0), deployment

    def _noted(self, name: str) -> list[str]:
        """pid, start time and deployment."""
        self._check_folder(self.params["pid_dir"])
        return _words(self._pid_file(name)) or self._inherited(name) or ["", "", ""]

    def _inherited(self, name: str) -> list[str]:
        """Return the note of a daemon that release 0.1.0 started for this user, below the user's own folder. Only a process
        of that user counts: the user could have written anything there."""
        state_dir = self.params.get("environment", {}).get("STOKER_STATE_DIR")
        if self._owner is None or not state_dir:
            return []
        words = _words(os.path.join(state_dir, "run", f"stoker-{name}.pid"))
        try:
            return words if os.stat(f"/proc/{int(words[0])}").st_uid == self._owner.pw_uid else []
        except (OSError, IndexError, ValueError):
            return []

    def _check_folder(self, folder: str) -> None:
        """Fail when root would work in a folder that the daemons' user, or anybody else, can exchange."""
        problem = writable_by_others(folder) if self._owner is not None and self._owner.pw_uid != 0 else ""
        if problem:
            self.module.fail_json(
                msg=f"users other than root can change {problem}: root's pid files and logs of daemons need a folder that"
                f" only root can change, unlike {folder}: set SPARK_PID_DIR and SPARK_LOG_DIR to others, or leave them out"
            )

    def program(self, name: str) -> str:
        """Path of the program that the running daemon was started by; empty where it cannot be told."""
        pid, _ = self.look(name)
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read().split("\0")
        except OSError:
            words = []
        return next((word for word in words[:3] if os.path.basename(word) == "stoker"), "")

    def begin(self, daemon: dict[str, Any]) -> None:
        """Start it; ``is_ready`` says when it is."""
        for folder in (self.params["pid_dir"], self.params["log_dir"]):
            self._check_folder(folder)
            os.makedirs(folder, mode=0o755, exist_ok=True)
            self._check_folder(folder)
        name = daemon["name"]
        log_file = self._log_file(name)
        self._rotate(log_file)
        address = os.path.join(self._sockets.name, name)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(address)
        os.chmod(address, 0o600)
        if self._owner is not None:
            os.chown(address, self._owner.pw_uid, self._owner.pw_gid)
        with os.fdopen(os.open(log_file, _APPEND, 0o640), "ab") as log:
            process = self._spawn(daemon, log, address)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._pid_file(name))
        with os.fdopen(os.open(self._pid_file(name), _NEW, 0o644), "w") as file:
            file.write(f"{process.pid} {start_time(process.pid)} {daemon['deployment']}\n")
        self._starting[name] = process, ready

    def begin_again(self, daemon: dict[str, Any]) -> None:
        self.stop(daemon["name"], "TERM")
        self.begin(daemon)

    def _spawn(self, daemon: dict[str, Any], log: IO[bytes], address: str) -> subprocess.Popen[bytes]:
        user: dict[str, Any] = {}
        if self.params["user"]:
            owner = pwd.getpwnam(self.params["user"])
            user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        environ = {**os.environ, **self.params["environment"], "NOTIFY_SOCKET": address}
        process: subprocess.Popen[bytes] = subprocess.Popen(
            daemon["command"],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            **user,
        )
        if self.params["niceness"]:
            os.setpriority(os.PRIO_PROCESS, process.pid, self.params["niceness"])
        return process

    def is_ready(self, name: str) -> bool:
        process, ready = self._starting[name]
        if select.select([ready], [], [], 0)[0] and b"READY=1" in ready.recv(4096).splitlines():
            return True
        if process.poll() is not None:
            os.unlink(self._pid_file(name))
            self.fail(name, f"{name} exited at once with code {process.returncode}")
        return False

    def fail(self, name: str, what: str) -> None:
        log_file = self._log_file(name)
        try:
            with os.fdopen(os.open(log_file, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                lines = file.read().decode(errors="replace").splitlines()[-TAIL:]
        except OSError:
            lines = []
        log = "\n".join(lines) or "(nothing)"
        self.module.fail_json(msg=f"{what}. The last lines of {log_file}:\n{log}", log_lines=lines)

    def _rotate(self, log_file: str) -> None:
        keep = max(0, self.params["log_max_files"] - 1)
        for number in range(keep, 0, -1):
            older = log_file if number == 1 else f"{log_file}.{number - 1}"
            if os.path.exists(older):
                os.replace(older, f"{log_file}.{number}")

    def stop(self, name: str, signal_name: str) -> None:
        pid, _ = self.look(name)
        if pid:
            number = signal.Signals[f"SIG{signal_name}"]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + self.params["timeout"]
            while self.look(name)[0] and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.look(name)[0]:
                self.module.warn(f"{name} did not exit in {self.params['timeout']} s and was killed")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._pid_file(name))

    def _pid_file(self, name: str) -> str:
        return os.path.join(self.params["pid_dir"], f"stoker-{name}.pid")

    def _log_file(self, name: str) -> str:
        return os.path.join(self.params["log_dir"], f"stoker-{name}.log")


def _words(path: str) -> list[str]:
    """Return pid, start time and deployment from a pid file; nothing if it is missing, or not a small regular file."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
            words = file.read(LONGEST).split()
    except (OSError, UnicodeDecodeError):
        return []
    return [*words, "", "", ""][:3] if words else []


def writable_by_others(folder: str) -> str:
    """Return the folder, or the one on the way to it, that users other than root can change; empty if there is none. A link
    there would make root write, or stop, what another user wants."""
    wanted = pathlib.PurePath(os.path.abspath(folder))
    real = pathlib.PurePath(os.path.realpath(folder))
    for path in (wanted, *wanted.parents, real, *real.parents):
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(path)
            is_open = bool(status.st_mode & 0o022) and not stat.S_ISLNK(status.st_mode)
            is_shared = bool(status.st_mode & stat.S_ISVTX) and path not in (wanted, real)  # such as /tmp
            if status.st_uid != 0 or (is_open and not is_shared):
                return str(path)
    return ""


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def start_time(pid: int) -> str:
    """When the kernel started it: with the pid, the name of one process. Empty when it is gone (or a zombie)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
