# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The controller's half of the module ``stoker_worker``: wait and show how many jobs are left. A module
prints nothing until it ends."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

LOOK_AGAIN = 1.0  # seconds between two questions, each of which starts a program on the host


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = self._task.args
        result = self._ask(args, task_vars)
        changed = result.get("changed", False)
        waits = (
            str(args.get("wait", False)).lower() in ("true", "yes", "1") and args.get("state", "draining") == "draining"
        )
        if not waits or self._task.check_mode:
            return result
        deadline = time.monotonic() + int(args.get("timeout", 3600))
        shown: dict[str, int] = {}
        while not result.get("failed") and any(worker["running"] for worker in result["workers"]):
            for worker in result["workers"]:
                if shown.get(worker["id"], 0) != worker["running"]:
                    shown[worker["id"]] = worker["running"]
                    Display().display(f"  {worker['host']}:{worker['port']}: {worker['running']} still running")
            if time.monotonic() > deadline:
                left = ", ".join(
                    f"{w['running']} on {w['host']}:{w['port']}" for w in result["workers"] if w["running"]
                )
                message = f"still running after {args.get('timeout', 3600)} s: {left}. They are draining: wait longer"
                return {**result, "failed": True, "changed": changed, "msg": f"{message}, or kill what is left"}
            time.sleep(LOOK_AGAIN)
            result = self._ask({**args, "reason": "", "deadline": ""}, task_vars)  # which are set
        return {**result, "changed": changed}

    def _ask(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name=self._task.action, module_args=args, task_vars=task_vars
        )
        return answer
