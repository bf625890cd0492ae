# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Ask a cluster for its state (M(stoker.spark.stoker_info)) by running its program on the host, without a module there."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.stoker.spark.plugins.modules.stoker_info import SPEC

PAUSE = 0.1  # seconds between two questions
NO_TERMINAL = b"\n"  # with something for its standard input, ssh gives a program none, and its errors stay apart


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(argument_spec=SPEC)
        question = self._question(args)
        deadline = time.monotonic() + args["timeout"]
        while True:
            status = self._ask(question)
            workers = [worker for worker in status.get("workers", []) if worker["state"] == "ALIVE"]
            hosts = [worker["host"] for worker in workers]
            missing = [host["name"] for host in args["expected"] if hosts.count(host["host"]) < host["workers"]]
            if not missing:
                return {
                    "changed": False,
                    "status": status,
                    "alive": [worker["id"] for worker in workers],
                    "missing": [],
                }
            if time.monotonic() > deadline:
                raise AnsibleActionFail(
                    f"{status['url']} has {len(hosts)} workers; it misses workers of {', '.join(missing)}: see the log of"
                    " `stoker worker` there",
                    result={"missing": missing},
                )
            time.sleep(PAUSE)

    def _question(self, args: dict[str, Any]) -> str:
        """A line for the host's shell."""
        command = self._remote_expand_user(args["command"])
        words = [command, "status", "--json"]
        words += ["--master", args["master"]] if args["master"] else []
        words += [args["id"]] if args["id"] else []
        settings = [f"{name}={shlex.quote(str(value))}" for name, value in args["environment"].items()]
        return " ".join([self._compute_environment_string(), *settings, *map(shlex.quote, words)]).strip()

    def _ask(self, question: str) -> dict[str, Any]:
        done = self._low_level_execute_command(question, in_data=NO_TERMINAL)
        if done["rc"] != 0:
            raise AnsibleActionFail(
                done["stderr"].strip() or f"stoker status exited with {done['rc']}", result={"rc": done["rc"]}
            )
        status: dict[str, Any] = json.loads(done["stdout"])
        return status
