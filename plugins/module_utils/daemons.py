# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The Stoker daemons of a host, and their settings (M(stoker.spark.stoker_daemon))."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils import files
from ansible_collections.stoker.spark.plugins.module_utils.background import Background
from ansible_collections.stoker.spark.plugins.module_utils.systemd import Systemd, command_line

SPEC: dict[str, dict[str, Any]] = {
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
}
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


def bring(module: AnsibleModule) -> dict[str, Any]:
    """Bring the files and the daemons to the wanted state, and return the module's result."""
    daemons = Daemons(module)
    daemons.refuse_another_checkout()  # before its files are overwritten
    written = files.write_files(module)
    daemons.stop_others()
    daemons.bring()
    return {
        **written,
        "changed": written["changed"] or any(daemons.done.values()),
        "held": daemons.held,
        "daemons": {name: {"pid": daemons.pids[name], "done": what} for name, what in daemons.done.items()},
    }
