# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Check a host's settings before anything is done to the host (M(stoker.spark.stoker_settings))."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible_collections.stoker.spark.plugins.filter.stoker_text import stoker_spark_defaults, stoker_spark_env

try:
    from stoker.config.check import find_problems
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""

CHECKOUT = Path(__file__).resolve().parents[2]
ANSIBLE = (2, 19)  # those before it evaluate variables that a condition excludes
ARGUMENTS = ("masters", "env", "properties")


class ActionModule(ActionBase):
    """All of it happens on the controller: in check mode, and before a host has Stoker."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if unfit := _unfit_controller(ansible_version, MISSING):
            raise AnsibleActionFail(unfit)
        args = self._task.args
        if not args["masters"]:
            raise AnsibleActionFail("the inventory names no master, put a host into group masters")
        # spark-env is read in an environment that has nothing of the controller's.
        problems = _problems("spark_env", "spark-env", stoker_spark_env(args["env"]), {})
        problems += _problems("spark_defaults", "spark-defaults.conf", stoker_spark_defaults(args["properties"]), None)
        if problems:
            raise AnsibleActionFail("; ".join(problems))
        return {**result, **{name: args[name] for name in ARGUMENTS}, "changed": False}


def _unfit_controller(version: str, missing: str) -> str:
    """Why this Ansible cannot run the playbooks, with the fix; empty when it can."""
    if tuple(map(int, version.split(".")[:2])) < ANSIBLE:
        return (
            f"ansible-core {version} is too old: 2.19 or newer is needed; use .venv/bin/ansible-playbook of a checkout,"
            f" or install it: {sys.executable} -m pip install 'ansible-core>=2.19'"
        )
    if missing:
        return (
            f"the Python of this Ansible lacks Stoker ({missing}): use .venv/bin/ansible-playbook of a checkout, or"
            f" install it: {sys.executable} -m pip install '{CHECKOUT}'"
        )
    return ""


def _problems(variable: str, name: str, text: str, environ: dict[str, str] | None) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text)
        problems, doubts = find_problems(path, environ)
        return [line.replace(str(path), variable) for line in problems + doubts]
