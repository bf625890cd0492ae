# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Daemons without a service manager: each in a session of its own, with pid file and log (M(stoker.spark.stoker_daemon))."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import select
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule

TAIL = 10  # lines of the log shown on failure


class Background:
    """What ``systemd.Systemd`` is where systemd is not. ``module`` is the AnsibleModule, which any failure ends."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self._starting: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}
        self._sockets = tempfile.TemporaryDirectory()  # where daemons say that they are ready
        os.chmod(self._sockets.name, 0o711)

    def names(self, kind: str) -> list[str]:
        found = glob.glob(os.path.join(self.params["pid_dir"], f"stoker-{kind}*.pid"))
        return [os.path.basename(path)[len("stoker-") : -len(".pid")] for path in found]

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
        try:
            with open(self._pid_file(name)) as file:
                words = file.read().split()
        except OSError:
            words = []
        return [*words, "", "", ""][:3]

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
            os.makedirs(folder, mode=0o755, exist_ok=True)
        name = daemon["name"]
        log_file = self._log_file(name)
        self._rotate(log_file)
        address = os.path.join(self._sockets.name, name)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(address)
        os.chmod(address, 0o666)
        with open(log_file, "ab") as log:
            process = self._spawn(daemon, log, address)
        with open(self._pid_file(name), "w") as file:
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
            with open(log_file, "rb") as file:
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


def start_time(pid: int) -> str:
    """When the kernel started it: with the pid, the name of one process. Empty when it is gone (or a zombie)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
