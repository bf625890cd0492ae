#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Start and stop a Stoker daemon where there is no service manager."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_daemon
short_description: Start and stop a Stoker daemon where there is no service manager
description:
  - Runs a daemon in the background, in a session of its own, with a pid file and a log.
  - Started means ready. The module waits until the daemon says so (the sd_notify protocol) and fails with the last
    lines of its log when it ends or stays silent.
options:
  name:
    description: Name of the daemon; its pid file and log are named after it.
    type: str
    required: true
  state:
    description: Wanted state. With V(restarted), a daemon that does not run is started.
    type: str
    choices: [started, stopped, restarted]
    default: started
  command:
    description: Program and arguments. Needed to start.
    type: list
    elements: str
    default: []
  environment:
    description: Variables added to the environment.
    type: dict
    default: {}
  pid_dir:
    description: Folder of the pid file.
    type: path
    required: true
  log_dir:
    description: Folder of the log.
    type: path
    required: true
  log_max_files:
    description: Logs of earlier starts to keep.
    type: int
    default: 5
  niceness:
    description: Scheduling priority.
    type: int
    default: 0
  stop_signal:
    description: Signal that asks the daemon to stop for good.
    type: str
    default: TERM
  timeout:
    description: Seconds to wait for it to be ready, or to end. After a stop, what is left is killed.
    type: int
    default: 30
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Start a master
  stoker.spark.stoker_daemon:
    name: master
    command: [stoker, master, --host, localhost]
    pid_dir: /run/user/1000
    log_dir: /tmp/logs
"""

RETURN = r"""
pid:
  description: The daemon's process id, 0 when it does not run.
  type: int
  returned: always
status:
  description: What the daemon said when it was ready.
  type: str
  returned: when it was started
log_file:
  description: Where it logs.
  type: str
  returned: always
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule

TAIL = 10  # lines of the log shown on failure


class Daemon:
    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.pid_file = os.path.join(self.params["pid_dir"], f"stoker-{self.params['name']}.pid")
        self.log_file = os.path.join(self.params["log_dir"], f"stoker-{self.params['name']}.log")
        self.status = ""

    def pid(self) -> int:
        """Of the running daemon; 0 if it does not run. A pid that was given to another program since is not it."""
        try:
            with open(self.pid_file) as file:
                pid, started = file.read().split()
        except (OSError, ValueError):
            return 0
        return int(pid) if _start_time(int(pid)) == started else 0

    def start(self) -> None:
        for folder in (self.params["pid_dir"], self.params["log_dir"]):
            os.makedirs(folder, mode=0o755, exist_ok=True)
        self._rotate()
        with tempfile.TemporaryDirectory() as folder:
            address = os.path.join(folder, "notify")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(self.log_file, "ab") as log:
                ready.bind(address)
                process = subprocess.Popen(
                    self.params["command"],
                    env={**os.environ, **self.params["environment"], "NOTIFY_SOCKET": address},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                )
                if self.params["niceness"]:
                    os.setpriority(os.PRIO_PROCESS, process.pid, self.params["niceness"])
                with open(self.pid_file, "w") as file:
                    file.write(f"{process.pid} {_start_time(process.pid)}\n")
                self._wait_until_ready(process, ready)

    def _wait_until_ready(self, process: subprocess.Popen, ready: socket.socket) -> None:
        deadline = time.monotonic() + self.params["timeout"]
        while time.monotonic() < deadline:
            if select.select([ready], [], [], 0.02)[0]:
                lines = dict(line.split("=", 1) for line in ready.recv(4096).decode().splitlines() if "=" in line)
                if lines.get("READY") == "1":
                    self.status = lines.get("STATUS", "")
                    return
            if process.poll() is not None:
                os.unlink(self.pid_file)
                self._fail(f"{self.params['name']} ended at once with exit code {process.returncode}")
        self._fail(f"{self.params['name']} runs, but was not ready after {self.params['timeout']} s")

    def _fail(self, what: str) -> None:
        try:
            with open(self.log_file, "rb") as file:
                lines = file.read().decode(errors="replace").splitlines()[-TAIL:]
        except OSError:
            lines = []
        log = "\n".join(lines) or "(nothing)"
        self.module.fail_json(msg=f"{what}. The last lines of {self.log_file}:\n{log}", pid=self.pid(), log_lines=lines)

    def _rotate(self) -> None:
        keep = max(0, self.params["log_max_files"] - 1)
        for number in range(keep, 0, -1):
            older = self.log_file if number == 1 else f"{self.log_file}.{number - 1}"
            if os.path.exists(older):
                os.replace(older, f"{self.log_file}.{number}")

    def stop(self, signal_name: str) -> None:
        pid = self.pid()
        if pid:
            number = signal.Signals[f"SIG{signal_name}"]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + self.params["timeout"]
            while self.pid() and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.pid():
                self.module.warn(f"{self.params['name']} did not end in {self.params['timeout']} s: killed")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.pid_file)


def _start_time(pid: int) -> str:
    """When the kernel started it: with the pid, the name of one process. Empty when it is gone (or a zombie)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped", "restarted"], "default": "started"},
            "command": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
            "pid_dir": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "log_max_files": {"type": "int", "default": 5},
            "niceness": {"type": "int", "default": 0},
            "stop_signal": {"type": "str", "default": "TERM"},
            "timeout": {"type": "int", "default": 30},
        },
        required_if=[("state", "started", ["command"]), ("state", "restarted", ["command"])],
        supports_check_mode=True,
    )
    daemon, state = Daemon(module), module.params["state"]
    runs = bool(daemon.pid())
    changed = {"started": not runs, "stopped": runs, "restarted": True}[state]
    if changed and not module.check_mode:
        if state == "stopped":
            daemon.stop(module.params["stop_signal"])
        else:
            daemon.stop("TERM")  # a restart: TERM leaves a worker's processes where they are
            daemon.start()
    module.exit_json(changed=changed, pid=daemon.pid(), status=daemon.status, log_file=daemon.log_file)


if __name__ == "__main__":
    main()
