# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The controller's half of M(stoker.spark.stoker_compare): the arguments of the tasks that it may replace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.stoker.spark.plugins.plugin_utils.python import ask_first
from ansible_collections.stoker.spark.plugins.plugin_utils.release import RELEASE
from ansible_collections.stoker.spark.plugins.plugin_utils.settings import check, evaluated
from ansible_collections.stoker.spark.plugins.plugin_utils.templates import compiled_once

ANSWER = "__stoker_common_host"  # what install.yml registers, and later variables are made of
FROM_ANSWER = "__stoker_common_trust"  # files that are made of what is on the host


class ActionModule(ActionBase):
    """Whatever goes wrong here, except that the host is unreachable, is a difference: the tasks themselves then report it."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            with compiled_once(Path(C.DEFAULT_LOCAL_TMP)):
                answer = self._compared(task_vars or {})
        except AnsibleConnectionFailure:
            raise
        except (AnsibleError, OSError, LookupError, TypeError, ValueError) as error:
            answer = _differs(str(error))
        if answer.get("failed"):
            answer = _differs(str(answer.get("msg")))
        return {**result, **answer, "changed": False}

    def _compared(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        roles_tasks = Path(task_vars["role_path"], "tasks")
        settings = self._arguments(roles_tasks / "preflight.yml", "stoker_settings")
        names = settings.pop("evaluate")
        settings = self._value(settings, task_vars)
        check(settings)
        known = evaluated(self._templar, names, settings, task_vars)
        if not boolean(known["stoker_common_push"], strict=False):
            return _differs("it runs the controller's own release")
        host = self._value(self._arguments(roles_tasks / "install.yml", "stoker_host"), known)
        if host["release"] == "auto":
            host["release"] = RELEASE
        if not boolean(self._task.args.get("daemons", True)):
            return self._ask({"daemons": False, "host": host}, task_vars)
        if "master" in host["keys"]:
            return _differs("a master's files are made of the keys of all hosts")
        known[ANSWER] = {"release": host["release"], "known_masters": ""}
        daemon = self._value(self._arguments(roles_tasks / "service.yml", "stoker_daemon"), known)
        secrets = daemon.pop("secrets")
        answer = self._ask({"host": host, "daemon": daemon, "secrets": secrets}, task_vars)
        if answer.get("unchanged"):
            known[ANSWER] = answer
            if not all(file in daemon["files"] for file in self._value(known[FROM_ANSWER], known)):
                return _differs("keys/known_masters")
        return answer

    def _ask(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = ask_first(self, args, task_vars)
        return answer

    def _arguments(self, file: Path, module: str) -> dict[str, Any]:
        """The arguments of the task that runs this module, as they are written in the file."""
        tasks = self._loader.load_from_file(str(file), trusted_as_template=True)
        return next(dict(task[module]) for task in tasks if module in task)

    def _value(self, text: Any, variables: dict[str, Any]) -> Any:
        return self._templar.copy_with_new_env(available_variables=variables).template(text)


def _differs(why: str) -> dict[str, Any]:
    return {"unchanged": False, "differences": [why]}
