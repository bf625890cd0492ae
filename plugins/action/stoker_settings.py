# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Check a host's settings before anything is done to the host (M(stoker.spark.stoker_settings))."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from stoker.config.check import find_problems

# Of the file a variable becomes: its name, and what it is read in (nothing of the controller's).
FILES: dict[str, tuple[str, dict[str, str] | None]] = {
    "spark_env": ("spark-env", {}),
    "spark_defaults": ("spark-defaults.conf", None),
}


class ActionModule(ActionBase):
    """All of it happens on the controller: in check mode, and before a host has Stoker."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if not self._task.args["masters"]:
            raise AnsibleActionFail("the inventory names no master, put a host into group masters")
        problems = [line for variable in FILES for line in _problems(variable, self._task.args[variable])]
        if problems:
            raise AnsibleActionFail("; ".join(problems))
        return {**result, **{variable: self._task.args[variable] for variable in FILES}, "changed": False}


def _problems(variable: str, text: str) -> list[str]:
    name, environ = FILES[variable]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text)
        problems, doubts = find_problems(path, environ)
        return [line.replace(str(path), variable) for line in problems + doubts]
