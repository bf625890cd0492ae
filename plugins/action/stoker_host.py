# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The controller's half of M(stoker.spark.stoker_host): build the release a host lacks, and send it there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.stoker.spark.plugins.plugin_utils.python import ask, ask_first
from ansible_collections.stoker.spark.plugins.plugin_utils.release import BUILDER, RELEASE


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        is_ours = args.get("release", "auto") == "auto"
        if is_ours:
            args["release"] = RELEASE
        result: dict[str, Any] = ask_first(self, args, task_vars or {})
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
            answer: dict[str, Any] = ask(self, args, task_vars)
            return answer
        finally:
            self._remove_tmp_path(folder)

    def _build(self, python: str, arch: str) -> str:
        words = [sys.executable, str(BUILDER), "--python", python, "--arch", arch]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AnsibleActionFail(done.stderr.strip())
        return done.stdout.strip()
