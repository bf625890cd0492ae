# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Check a host's settings before anything is done to the host (M(stoker.spark.stoker_settings))."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stoker.spark.plugins.plugin_utils.settings import ARGUMENTS, check, evaluated


class ActionModule(ActionBase):
    """All of it happens on the controller: in check mode, and before a host has Stoker."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        check(args)
        names = args.get("evaluate", [])
        known = evaluated(self._templar, names, args, task_vars or {})
        taken = {name: args[name] for name in ARGUMENTS}
        return {**result, **taken, "values": {name: known[name] for name in names}, "changed": False}
