# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The controller's half of the module ``stoker_logs``: bring what it packed here, and unpack it."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """``into`` is a folder of the controller; all other arguments are the module's."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        into = Path(args.pop("into")).expanduser().absolute()
        folder = self._make_tmp_path()
        try:
            args["dest"] = self._connection._shell.join_path(folder, "logs.tar.gz")
            packed: dict[str, Any] = self._execute_module(
                module_name=self._task.action, module_args=args, task_vars=task_vars
            )
            if packed.get("failed") or packed.get("unreachable") or self._task.check_mode:
                return packed
            read: dict[str, Any] = self._execute_module(
                "ansible.legacy.slurp", {"src": args["dest"]}, task_vars=task_vars
            )
        finally:
            self._remove_tmp_path(folder)
        if read.get("failed"):
            return read
        try:
            into.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tarfile.open(fileobj=io.BytesIO(base64.b64decode(read["content"]))) as archive:
                archive.extractall(into, filter="data")
        except (OSError, tarfile.TarError) as error:
            return {"failed": True, "msg": f"cannot unpack into {into}: {error}"}
        return {**packed, "changed": True, "folder": str(into)}
