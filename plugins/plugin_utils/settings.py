# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The check of a host's settings, and the values of the variables that are made of them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.stoker.spark.plugins.filter.stoker_text import stoker_spark_defaults, stoker_spark_env
from ansible_collections.stoker.spark.plugins.plugin_utils.controller import unfit

with contextlib.suppress(ImportError):  # ``unfit`` says what is missing
    from stoker.config.check import find_problems
    from stoker.config.pools import parse_pools
    from stoker.config.users_file import parse_users
    from stoker.security.spark_secrets import parse_secrets

# Arguments, and the variables that have the same value.
ARGUMENTS = {
    "masters": "stoker_common_master_hosts",
    "env": "stoker_common_env",
    "properties": "stoker_common_properties",
}


def check(args: dict[str, Any]) -> None:
    """Raise AnsibleActionFail with all settings that daemons would reject. ``args`` are those of stoker_settings."""
    if reason := unfit():
        raise AnsibleActionFail(reason)
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


def evaluated(templar: Any, names: list[str], args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    """Return all variables, ``names`` with their values: each is evaluated from the values of those before it. Ansible alone
    would evaluate a variable again at each use, with all that it is made of, and compile its text again."""
    known = {**task_vars, **{variable: args[name] for name, variable in ARGUMENTS.items()}}
    values = templar.copy_with_new_env(available_variables=known)
    for name in names:
        known[name] = values.template(known[name])
    return known


def _problems(variable: str, name: str, text: str, environ: dict[str, str] | None) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text)
        problems, doubts = find_problems(path, environ)
        return [line.replace(str(path), variable) for line in problems + doubts]
