#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Bring the Stoker daemons of a host and their settings to the wanted state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_daemon
short_description: Bring the Stoker daemons of a host and their settings to the wanted state
description:
  - Runs daemons as systemd units if systemd runs and their kinds have units. Otherwise runs each in the background, in its
    own session, with a pid file and a log.
  - Started means ready. The module starts all daemons at once, waits until each reports that it is ready (the sd_notify
    protocol), and fails with the last lines of a daemon's log if it exits or is not ready in time.
  - Writes their configuration first, in the same task, because a task costs a round trip.
extends_documentation_fragment:
  - stoker.spark.files
  - stoker.spark.files.secrets
options:
  daemons:
    description: The daemons.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the daemon, which begins with its kind. Its pid file, log and unit are C(stoker-NAME).
        type: str
        required: true
      command:
        description: Program and arguments.
        type: list
        elements: str
        default: []
  kinds:
    description:
      - The kinds of daemons that O(daemons) is complete for. A daemon of these kinds that runs on the host and is not in
        O(daemons) is stopped, and does not start again.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the names of all daemons of this kind begin with.
        type: str
        required: true
      stop_signal:
        description: Signal that stops such a daemon when systemd does not run it. A restart sends TERM.
        type: str
        default: TERM
      unit:
        description:
          - Text of the systemd unit of such a daemon, with placeholders C(@name@), C(@command@) and C(@deployment@). Empty if
            systemd is not to run it.
        type: str
        default: ""
  hold:
    description:
      - Kinds of daemons that are not restarted, although they run with other settings. They are named in RV(held), to be
        restarted one host after the other. Without effect in check mode.
    type: list
    elements: str
    default: []
  program:
    description:
      - Path of the C(stoker) program that this checkout starts daemons with. If a daemon of O(kinds) was started in the
        background by the program of another checkout, the module fails and changes nothing. Empty for no such check.
    type: path
    default: ""
  state:
    description: Wanted state. With V(restarted), a daemon that does not run is started.
    type: str
    choices: [started, stopped, restarted]
    default: started
  deployments:
    description:
      - By kind of daemon, a fingerprint of the settings that it reads at its start. A daemon that was started with another
        one is restarted.
    type: dict
    default: {}
  environment:
    description: Variables added to the environment of a daemon that systemd does not run.
    type: dict
    default: {}
  user:
    description: User that a daemon runs as if systemd does not run it. Empty for the connecting user.
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
  timeout:
    description: >-
      Seconds to wait until the daemons are ready, or until each has exited. A daemon that does not exit in time is killed.
    type: int
    default: 30
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Start a master
  stoker.spark.stoker_daemon:
    kinds:
      - name: master
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
held:
  description: Daemons that were not restarted because of O(hold).
  type: list
  elements: str
  returned: always
changed_files:
  description: Paths of the files that were (or would be) written.
  type: list
  returned: always
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils import files
from ansible_collections.stoker.spark.plugins.module_utils.advice import explained
from ansible_collections.stoker.spark.plugins.module_utils.background import Background
from ansible_collections.stoker.spark.plugins.module_utils.lock import locked
from ansible_collections.stoker.spark.plugins.module_utils.systemd import Systemd, command_line

POLL = 0.02  # seconds between looks at daemons that start


class Daemons:
    """Those of the host, one by one."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.wanted = {daemon["name"]: daemon for daemon in self.params["daemons"]}
        has_units = all(kind["unit"] for kind in self.params["kinds"]) and os.path.isdir("/run/systemd/system")
        self.manager = Systemd(module) if has_units else Background(module)
        for daemon in self.wanted.values():
            daemon["deployment"] = self._deployment(daemon["name"])
            daemon["unit"] = self._unit(daemon)
        self.pids: dict[str, int] = {}
        self.done: dict[str, str] = {}
        self.held: list[str] = []

    def stop_others(self) -> None:
        for kind in self.params["kinds"]:
            for name in self.manager.names(kind["name"]):
                if name not in self.wanted:
                    self.pids[name], self.done[name] = 0, "stopped"
                    if not self.module.check_mode:
                        self.manager.stop(name, kind["stop_signal"])

    def refuse_another_checkout(self) -> None:
        """Two checkouts of a user have the same folders and ports: what the other runs is neither restarted nor stopped."""
        own = self.params["program"]
        if not own or not isinstance(self.manager, Background):
            return
        for name in (name for kind in self.params["kinds"] for name in self.manager.names(kind["name"])):
            program = self.manager.program(name)
            is_release = f"{os.sep}current{os.sep}" in program  # where a host's releases take turns
            if program not in ("", own) and not is_release and os.path.isfile(program):
                self.module.fail_json(
                    msg=f"{name} of this machine was started by {program}, from another checkout: stop it from there, or"
                    " give this one a cluster of its own (docs/ansible.md, Two checkouts)"
                )

    def bring(self) -> None:
        """Bring all daemons to the wanted state. They start at the same time, so that none waits for another."""
        state = self.params["state"]
        self.held = [name for name, daemon in self.wanted.items() if self._is_held(name, daemon)]
        ready = [daemon for name, daemon in self.wanted.items() if name not in self.held]
        rewritten = self.manager.prepare(ready) if state != "stopped" else []
        starting = []
        for name, daemon in self.wanted.items():
            pid, deployment = self.manager.look(name)
            is_outdated = name in rewritten or deployment != daemon["deployment"]
            what = "" if name in self.held else _wanted(state, pid, is_outdated=is_outdated)
            self.pids[name], self.done[name] = pid, what
            if self.module.check_mode or not what:
                continue
            if what == "stopped":
                self.manager.stop(name, self._kind(name)["stop_signal"])
            elif what == "started":
                self.manager.begin(daemon)
            else:
                self.manager.begin_again(daemon)
            starting += [name] if what != "stopped" else []
        self._wait(starting)
        self.pids |= {name: self.manager.look(name)[0] for name, what in self.done.items() if what}

    def _is_held(self, name: str, daemon: dict[str, Any]) -> bool:
        if self.module.check_mode or not any(name.startswith(kind) for kind in self.params["hold"]):
            return False
        pid, deployment = self.manager.look(name)
        return bool(pid) and bool(self.manager.differs(daemon) or deployment != daemon["deployment"])

    def _kind(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = [kind for kind in self.params["kinds"] if name.startswith(kind["name"])]
        if not found:
            self.module.fail_json(msg=f"daemon {name} is of none of this task's kinds")
        return found[0]

    def _deployment(self, name: str) -> str:
        deployments: dict[str, str] = self.params["deployments"]
        return next((text for kind, text in deployments.items() if name.startswith(kind)), "")

    def _unit(self, daemon: dict[str, Any]) -> str:
        text: str = self._kind(daemon["name"])["unit"].replace("@name@", daemon["name"])
        command = command_line(daemon["command"])
        return text.replace("@command@", command).replace("@deployment@", daemon["deployment"])

    def _wait(self, starting: list[str]) -> None:
        deadline = time.monotonic() + self.params["timeout"]
        while starting := [name for name in starting if not self.manager.is_ready(name)]:
            if time.monotonic() > deadline:
                name = starting[0]
                self.manager.fail(name, f"{name} runs, but was not ready after {self.params['timeout']} s")
            time.sleep(POLL)


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
            "files": files.SPEC,
            "secrets": files.SECRETS,
            "daemons": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "command": {"type": "list", "elements": "str", "default": []},
                },
            },
            "kinds": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "stop_signal": {"type": "str", "default": "TERM"},
                    "unit": {"type": "str", "default": ""},
                },
            },
            "hold": {"type": "list", "elements": "str", "default": []},
            "program": {"type": "path", "default": ""},
            "state": {"type": "str", "choices": ["started", "stopped", "restarted"], "default": "started"},
            "deployments": {"type": "dict", "default": {}},
            "environment": {"type": "dict", "default": {}},
            "user": {"type": "str", "default": ""},
            "pid_dir": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "log_max_files": {"type": "int", "default": 5},
            "niceness": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    try:
        with locked(module, module.params["pid_dir"], timeout=module.params["timeout"] + 90.0):
            daemons = Daemons(module)
            daemons.refuse_another_checkout()  # before its files are overwritten
            written = files.write_files(module)
            daemons.stop_others()
            daemons.bring()
    except OSError as error:
        module.fail_json(msg=explained(error, module.params["pid_dir"]))
    module.exit_json(
        **{**written, "changed": written["changed"] or any(daemons.done.values())},
        held=daemons.held,
        daemons={name: {"pid": daemons.pids[name], "done": what} for name, what in daemons.done.items()},
    )


if __name__ == "__main__":
    main()
