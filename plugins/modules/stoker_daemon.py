#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Start and stop the Stoker daemons of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_daemon
short_description: Start and stop the Stoker daemons of a host
description:
  - Runs daemons as systemd units where systemd is and a unit is given; elsewhere in the background, each in a session of
    its own, with a pid file and a log.
  - Started means ready. The module waits until the daemon says so (the sd_notify protocol) and fails with the last
    lines of its log when it ends or stays silent.
options:
  daemons:
    description: The daemons, all of one kind.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the daemon. Its pid file, log and unit are C(stoker-NAME).
        type: str
        required: true
      command:
        description: Program and arguments.
        type: list
        elements: str
        default: []
      unit:
        description: Text of its systemd unit. Empty where systemd shall not run it.
        type: str
        default: ""
  kind:
    description:
      - What the names of all daemons of this kind begin with. Those that run on the host and are not in O(daemons) are
        stopped for good.
    type: str
    required: true
  state:
    description: Wanted state. With V(restarted), a daemon that does not run is started.
    type: str
    choices: [started, stopped, restarted]
    default: started
  deployment:
    description:
      - Fingerprint of what the daemons read when they start. One that was started with another is restarted.
    type: str
    default: ""
  environment:
    description: Variables added to the environment, where systemd does not run it.
    type: dict
    default: {}
  user:
    description: User to run as, where systemd does not run it. Empty for the connecting user.
    type: str
    default: ""
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
    description: Signal that asks the daemon to stop for good. A restart sends TERM.
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
    kind: master
    daemons:
      - name: master
        command: [stoker, master, --host, localhost]
    pid_dir: /run/user/1000
    log_dir: /tmp/logs
"""

RETURN = r"""
daemons:
  description: By name, the process id (0 when it does not run) and what was done (empty when nothing).
  type: dict
  returned: always
"""

import contextlib
import glob
import os
import pwd
import re
import select
import signal
import socket
import subprocess
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule

TAIL = 10  # lines of the log shown on failure
UNITS = "/etc/systemd/system"


class Background:
    """Daemons without a service manager."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params

    def names(self) -> list[str]:
        found = glob.glob(os.path.join(self.params["pid_dir"], f"stoker-{self.params['kind']}*.pid"))
        return [os.path.basename(path)[len("stoker-") : -len(".pid")] for path in found]

    def prepare(self, daemons: list) -> list[str]:
        return []

    def pid(self, name: str) -> int:
        """Of the running daemon; 0 if it does not run. A pid that was given to another program since is not it."""
        pid, started, _ = self._noted(name)
        return int(pid) if pid and _start_time(int(pid)) == started else 0

    def deployment(self, name: str) -> str:
        return self._noted(name)[2]

    def _noted(self, name: str) -> list[str]:
        """pid, start time and deployment."""
        try:
            with open(self._pid_file(name)) as file:
                words = file.read().split()
        except OSError:
            words = []
        return [*words, "", "", ""][:3]

    def start(self, daemon: dict) -> None:
        for folder in (self.params["pid_dir"], self.params["log_dir"]):
            os.makedirs(folder, mode=0o755, exist_ok=True)
        log_file = self._log_file(daemon["name"])
        self._rotate(log_file)
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o711)
            address = os.path.join(folder, "notify")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(log_file, "ab") as log:
                ready.bind(address)
                os.chmod(address, 0o666)
                process = self._spawn(daemon, log, address)
                with open(self._pid_file(daemon["name"]), "w") as file:
                    file.write(f"{process.pid} {_start_time(process.pid)} {self.params['deployment']}\n")
                self._wait_until_ready(daemon["name"], process, ready)

    def _spawn(self, daemon: dict, log, address: str) -> subprocess.Popen:
        user = {}
        if self.params["user"]:
            owner = pwd.getpwnam(self.params["user"])
            user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        environ = {
            **os.environ,
            **self.params["environment"],
            "NOTIFY_SOCKET": address,
        }
        process = subprocess.Popen(
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

    def _wait_until_ready(self, name: str, process: subprocess.Popen, ready: socket.socket) -> None:
        deadline = time.monotonic() + self.params["timeout"]
        while time.monotonic() < deadline:
            if select.select([ready], [], [], 0.02)[0] and b"READY=1" in ready.recv(4096).splitlines():
                return
            if process.poll() is not None:
                os.unlink(self._pid_file(name))
                self._fail(name, f"{name} ended at once with exit code {process.returncode}")
        self._fail(name, f"{name} runs, but was not ready after {self.params['timeout']} s")

    def _fail(self, name: str, what: str) -> None:
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

    def stop(self, name: str, *, for_good: bool) -> None:
        """TERM leaves a worker's processes where they are, for the daemon that comes back."""
        pid = self.pid(name)
        if pid:
            number = signal.Signals[f"SIG{self.params['stop_signal'] if for_good else 'TERM'}"]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + self.params["timeout"]
            while self.pid(name) and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.pid(name):
                self.module.warn(f"{name} did not end in {self.params['timeout']} s: killed")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._pid_file(name))

    def restart(self, daemon: dict) -> None:
        self.stop(daemon["name"], for_good=False)
        self.start(daemon)

    def _pid_file(self, name: str) -> str:
        return os.path.join(self.params["pid_dir"], f"stoker-{name}.pid")

    def _log_file(self, name: str) -> str:
        return os.path.join(self.params["log_dir"], f"stoker-{name}.log")


class Systemd:
    """Daemons as units of the system's manager."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params

    def names(self) -> list[str]:
        found = glob.glob(f"{UNITS}/stoker-{self.params['kind']}*.service")
        return [os.path.basename(path)[len("stoker-") : -len(".service")] for path in found]

    def prepare(self, daemons: list) -> list[str]:
        """Write the units that differ, and have them start at boot; the names of those daemons."""
        changed = [daemon for daemon in daemons if self._text(daemon["name"]) != daemon["unit"]]
        if changed and not self.module.check_mode:
            for daemon in changed:
                path = f"{UNITS}/{_unit(daemon['name'])}"
                with open(f"{path}.new", "w") as file:
                    file.write(daemon["unit"])
                os.chmod(f"{path}.new", 0o644)
                os.rename(f"{path}.new", path)
            self._systemctl("daemon-reload")
            self._systemctl("enable", "--quiet", *(_unit(daemon["name"]) for daemon in changed))
        return [daemon["name"] for daemon in changed]

    def _text(self, name: str) -> str:
        try:
            with open(f"{UNITS}/{_unit(name)}") as file:
                return file.read()
        except OSError:
            return ""

    def pid(self, name: str) -> int:
        shown = self._show(name)
        return int(shown.get("MainPID") or 0) if shown.get("ActiveState") in ("active", "reloading") else 0

    def deployment(self, name: str) -> str:
        """The daemon tells it with its status (stoker.io.notify)."""
        found = re.search(r"\(deployment (\w+)\)", self._show(name).get("StatusText", ""))
        return found[1] if found else ""

    def start(self, daemon: dict) -> None:
        self._bring_up(daemon["name"], "start")

    def restart(self, daemon: dict) -> None:
        self._bring_up(daemon["name"], "restart")

    def _bring_up(self, name: str, verb: str) -> None:
        self._systemctl("reset-failed", _unit(name), check=False)
        self._systemctl(verb, "--no-block", _unit(name))
        deadline = time.monotonic() + self.params["timeout"]
        while time.monotonic() < deadline:
            time.sleep(0.05)
            shown = self._show(name)
            if shown.get("Job", "") not in ("", "0") and shown.get("ActiveState") != "activating":
                continue  # the old one is still stopping
            if shown.get("ActiveState") == "active":
                return
            if shown.get("ActiveState") == "failed" or shown.get("SubState") == "auto-restart":
                self._fail(name, f"{name} ended at once with exit code {shown.get('ExecMainStatus')}")
        self._fail(name, f"{name} was not ready after {self.params['timeout']} s")

    def stop(self, name: str, *, for_good: bool) -> None:
        self._systemctl("stop", _unit(name))
        if name not in [daemon["name"] for daemon in self.params["daemons"]]:
            self._systemctl("disable", "--quiet", _unit(name), check=False)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{UNITS}/{_unit(name)}")
            self._systemctl("daemon-reload")

    def _show(self, name: str) -> dict[str, str]:
        wanted = "ActiveState,SubState,MainPID,ExecMainStatus,Job,StatusText"
        out = self._systemctl("show", "--property", wanted, _unit(name))
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def _systemctl(self, *words: str, check: bool = True) -> str:
        code, out, err = self.module.run_command(["systemctl", *words])
        if code != 0 and check:
            self.module.fail_json(msg=f"systemctl {' '.join(words)}: {err.strip() or out.strip()}")
        return str(out)

    def _fail(self, name: str, what: str) -> None:
        words = ["journalctl", "--unit", _unit(name), "--lines", str(TAIL), "--output", "cat", "--no-pager"]
        _, out, _ = self.module.run_command(words)
        lines = out.splitlines()
        log = "\n".join(lines) or "(nothing)"
        self.module.fail_json(msg=f"{what}. Its last lines in the journal:\n{log}", log_lines=lines)


def _unit(name: str) -> str:
    return f"stoker-{name}.service"


def _start_time(pid: int) -> str:
    """When the kernel started it: with the pid, the name of one process. Empty when it is gone (or a zombie)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _wanted(state: str, pid: int, *, is_outdated: bool) -> str:
    """What to do with one daemon."""
    if state == "stopped":
        return "stopped" if pid else ""
    if not pid:
        return "started"
    return "restarted" if state == "restarted" or is_outdated else ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "daemons": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "command": {"type": "list", "elements": "str", "default": []},
                    "unit": {"type": "str", "default": ""},
                },
            },
            "kind": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped", "restarted"], "default": "started"},
            "deployment": {"type": "str", "default": ""},
            "environment": {"type": "dict", "default": {}},
            "user": {"type": "str", "default": ""},
            "pid_dir": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "log_max_files": {"type": "int", "default": 5},
            "niceness": {"type": "int", "default": 0},
            "stop_signal": {"type": "str", "default": "TERM"},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    daemons, state = module.params["daemons"], module.params["state"]
    has_units = all(daemon["unit"] for daemon in daemons) and os.path.isdir("/run/systemd/system")
    manager = Systemd(module) if has_units else Background(module)
    rewritten = manager.prepare(daemons) if state != "stopped" else []
    done = {name: "stopped" for name in manager.names() if name not in [daemon["name"] for daemon in daemons]}
    for name in done:
        if not module.check_mode:
            manager.stop(name, for_good=True)
    for daemon in daemons:
        pid = manager.pid(daemon["name"])
        outdated = daemon["name"] in rewritten or manager.deployment(daemon["name"]) != module.params["deployment"]
        what = done[daemon["name"]] = _wanted(state, pid, is_outdated=outdated)
        if module.check_mode or not what:
            continue
        if what == "stopped":
            manager.stop(daemon["name"], for_good=True)
        elif what == "started":
            manager.start(daemon)
        else:
            manager.restart(daemon)
    module.exit_json(
        changed=bool(rewritten or any(done.values())),
        daemons={name: {"pid": manager.pid(name), "done": what} for name, what in done.items()},
    )


if __name__ == "__main__":
    main()
