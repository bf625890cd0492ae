# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The controller's half of M(stoker.spark.stoker_lock): says which run this is, and waits for another one."""

from __future__ import annotations

import getpass
import os
import socket
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stoker.spark.plugins.module_utils.background import start_time

NOT_FOUND = 127  # exit code of a shell that does not find the program
PAUSE = 2.0  # seconds between two tries


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        host = (task_vars or {}).get("inventory_hostname", "this host")
        args = {**self._task.args, "run": _this_run()}
        timeout, deadline = float(args.get("timeout", 60)), None
        while True:
            result: dict[str, Any] = self._execute_module(
                module_name=self._task.action, module_args=args, task_vars=task_vars
            )
            if result.get("rc") == NOT_FOUND:
                return {"changed": False, "skipped": True}  # no python3, which stoker_host reports
            holder = result.get("holder")
            if holder and args.get("state") == "absent":
                result["msg"] = f"freed the lock on {host}: {_named(holder)}"
            if not holder or args.get("state") == "absent":
                return _warned(result, str(args.get("release", "")))
            if has_ended(holder):
                args["ended"] = holder
                continue
            if deadline is None:
                deadline = time.monotonic() + timeout
                if timeout > 0:
                    Display().display(f"{host}: waiting for {_named(holder)}")
            if time.monotonic() >= deadline:
                raise AnsibleActionFail(
                    f"another run of the playbooks changes this cluster: {_named(holder)}; wait until it has ended. If it"
                    f" was killed, run 'ansible-playbook playbooks/force-unlock.yml', or wait until the lock on {host}"
                    f" expires at {_clock(holder['until'])}"
                )
            time.sleep(PAUSE)


def _warned(result: dict[str, Any], release: str) -> dict[str, Any]:
    current = result.get("current")
    if release and current and current != release:
        result.setdefault("warnings", []).append(
            f"this run upgrades the cluster from release {current} to {release} and does not go back when a host fails:"
            " playbooks/upgrade.yml does"
        )
    return result


def _this_run() -> dict[str, Any]:
    """The process of ansible-playbook, which has started this one for a task."""
    pid = os.getppid()
    return {
        "machine": _machine(),
        "pid": pid,
        "started": start_time(pid),
        "user": getpass.getuser(),
        "controller": socket.gethostname(),
        "playbook": " ".join(Path(name).name for name in context.CLIARGS.get("args", ())),
    }


def has_ended(run: dict[str, Any]) -> bool:
    """Whether it is a run on this machine whose process has ended. False where that cannot be known."""
    is_here = bool(run["machine"]) and run["machine"] == _machine()
    return is_here and start_time(int(run["pid"])) != run["started"]


def _machine() -> str:
    """This boot of this machine, and the namespace of its process ids; empty where /proc is missing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + " " + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _named(run: dict[str, Any]) -> str:
    where = f"{run['user']} on {run['controller']}"
    return f"{where} runs {run['playbook']} since {_clock(run['since'])}, process {run['pid']}"


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(when))
