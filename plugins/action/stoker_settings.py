# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Check a host's settings before anything is done to the host (M(stoker.spark.stoker_settings))."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.stoker.spark.plugins.filter.stoker_text import stoker_spark_defaults, stoker_spark_env
from ansible_collections.stoker.spark.plugins.plugin_utils.controller import unfit

with contextlib.suppress(ImportError):  # ``unfit`` says what is missing
    from stoker.config.check import find_problems
    from stoker.config.pools import parse_pools
    from stoker.security.spark_secrets import parse_secrets
    from stoker.config.users_file import parse_users

# Arguments, and the variables that have the same value.
ARGUMENTS = {
    "masters": "stoker_common_master_hosts",
    "env": "stoker_common_env",
    "properties": "stoker_common_properties",
}


class ActionModule(ActionBase):
    """All of it happens on the controller: in check mode, and before a host has Stoker."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if reason := unfit():
            raise AnsibleActionFail(reason)
        args = self._task.args
        if not args["masters"]:
            raise AnsibleActionFail("the inventory names no master, put a host into group masters")
        # spark-env is read in an environment that has nothing of the controller's.
        problems = _problems("spark_env", "spark-env", stoker_spark_env(args["env"]), {})
        problems += _problems("spark_defaults", "spark-defaults.conf", stoker_spark_defaults(args["properties"]), None)
        if pools := args.get("pools"):
            problems += parse_pools(pools, "stoker_pools")[1]
        problems += parse_secrets(args.get("spark_clients") or "", "stoker_spark_clients")[1]
        if users := args.get("users"):
            problems += parse_users(users, "stoker_users")[1]
        if problems:
            raise AnsibleActionFail("; ".join(problems))
        taken = {name: args[name] for name in ARGUMENTS}
        values = self._evaluated(args.get("evaluate", []), taken, task_vars or {})
        return {**result, **taken, "values": values, "changed": False}

    def _evaluated(self, names: list[str], taken: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Evaluate variables, each from the values of those before it. Ansible alone would evaluate a variable again at each
        use, with all that it is made of, and compile its text again."""
        known = {**task_vars, **{ARGUMENTS[name]: value for name, value in taken.items()}}
        for name in names:
            templar = self._templar.copy_with_new_env(available_variables=known)
            known[name] = templar.template(known[name])
        return {name: known[name] for name in names}


def _problems(variable: str, name: str, text: str, environ: dict[str, str] | None) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text)
        problems, doubts = find_problems(path, environ)
        return [line.replace(str(path), variable) for line in problems + doubts]
