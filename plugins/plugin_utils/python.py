# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The first module that a run starts on a host finds the host's Python."""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

DISCOVERED = "discovered_interpreter_python"
USUAL_PYTHON = "/usr/bin/python3"
NOT_FOUND = 127  # exit code of a shell that does not find the program


def ask_first(action: ActionBase, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    """Run the action's module. Try the usual Python before Ansible looks for one, which costs a round trip on every host."""
    facts = task_vars.setdefault("ansible_facts", {})
    setting = str(C.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars))
    if not setting.startswith("auto") or DISCOVERED in facts:
        return ask(action, args, task_vars)
    facts[DISCOVERED] = USUAL_PYTHON
    result = ask(action, args, task_vars)
    has_run = "invocation" in result and not result.get("wrong_python")
    if has_run or not result.get("failed"):
        return {**result, "ansible_facts": {DISCOVERED: USUAL_PYTHON}}
    del facts[DISCOVERED]
    return ask(action, args, task_vars)


def ask(action: ActionBase, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
    """Run the action's module. Raises AnsibleActionFail where the host has no Python."""
    answer: dict[str, Any] = action._execute_module(
        module_name=action._task.action, module_args=args, task_vars=task_vars
    )
    if answer.get("failed") and answer.get("rc") == NOT_FOUND:
        host = (task_vars or {}).get("inventory_hostname", "this host")
        raise AnsibleActionFail(
            f"{host} has no python3 that Ansible finds: install Python 3.10 or newer there (apt-get install python3), or"
            " set ansible_python_interpreter",
            result={key: answer[key] for key in ("module_stderr", "rc") if key in answer},
        )
    return answer
