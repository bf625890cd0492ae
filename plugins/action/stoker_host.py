# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The controller's half of M(stoker.spark.stoker_host): build the release a host lacks, and send it there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.stoker.spark.plugins.plugin_utils.release import BUILDER, RELEASE

DISCOVERED = "discovered_interpreter_python"
USUAL_PYTHON = "/usr/bin/python3"


NOT_FOUND = 127  # exit code of a shell that does not find the program


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        is_ours = args.get("release", "auto") == "auto"
        if is_ours:
            args["release"] = RELEASE
        result = self._ask_first(args, task_vars or {})
        if result.get("failed") or not result.get("wanted"):
            return result
        if not is_ours:
            raise AnsibleActionFail(
                f"release {args['release']} is not on this host; it has {result['previous'] or 'none'}"
            )
        archive = self._build(result["python"], result["arch"])
        args["archive_sha256"] = Path(f"{archive}.sha256").read_text().split()[0]
        folder = self._make_tmp_path()
        args["archive"] = self._transfer_file(archive, self._connection._shell.join_path(folder, "release.tar.gz"))
        self._fixup_perms2((folder, args["archive"]), execute=False)
        try:
            return self._ask(args, task_vars)
        finally:
            self._remove_tmp_path(folder)

    def _ask_first(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Try the usual Python before Ansible looks for one, which costs a round trip on every host."""
        facts = task_vars.setdefault("ansible_facts", {})
        setting = str(C.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars))
        if not setting.startswith("auto") or DISCOVERED in facts:
            return self._ask(args, task_vars)
        facts[DISCOVERED] = USUAL_PYTHON
        result = self._ask(args, task_vars)
        has_run = "invocation" in result and not result.get("wrong_python")
        if has_run or not result.get("failed"):
            return {**result, "ansible_facts": {DISCOVERED: USUAL_PYTHON}}
        del facts[DISCOVERED]
        return self._ask(args, task_vars)

    def _ask(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name=self._task.action, module_args=args, task_vars=task_vars
        )
        if answer.get("failed") and answer.get("rc") == NOT_FOUND:
            host = (task_vars or {}).get("inventory_hostname", "this host")
            raise AnsibleActionFail(
                f"{host} has no python3 that Ansible finds: install Python 3.10 or newer there (apt-get install python3), or"
                " set ansible_python_interpreter",
                result={key: answer[key] for key in ("module_stderr", "rc") if key in answer},
            )
        return answer

    def _build(self, python: str, arch: str) -> str:
        words = [sys.executable, str(BUILDER), "--python", python, "--arch", arch]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AnsibleActionFail(done.stderr.strip())
        return done.stdout.strip()
