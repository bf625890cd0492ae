# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Make the controller a client: its keys, the masters it knows, its profile (M(stoker.spark.stoker_client))."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from stoker.core.model.states import Role
from stoker.errors import StokerError
from stoker.security.keys import Keys

ROLES = (Role.CLIENT, Role.ADMIN)


class ActionModule(ActionBase):
    """Nothing of it happens on the host."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        folder = Path(self._task.args["conf_dir"]).expanduser()
        keys = folder / "keys"
        lacks_keys = not all((keys / "private" / f"{role.value}.key").exists() for role in ROLES)
        wanted = {folder / "client": f"{self._task.args['master_url']}\n"}
        if self._task.args.get("known_masters"):
            wanted[keys / "known_masters"] = self._task.args["known_masters"]
        stale = {path: text for path, text in wanted.items() if not path.exists() or path.read_text() != text}
        if not self._task.check_mode:
            try:
                Keys.make(keys, ROLES)
                for path, text in stale.items():
                    path.write_text(text)
            except (OSError, StokerError) as error:
                raise AnsibleActionFail(f"this controller cannot be a client of the cluster: {error}") from None
        result["public"] = {} if lacks_keys and self._task.check_mode else _public(keys)
        result["name"] = f"controller:{getpass.getuser()}@{socket.gethostname()}"
        result["changed"] = lacks_keys or bool(stale)
        return result


def _public(folder: Path) -> dict[str, str]:
    keys = Keys.open(folder, create=None)
    return {role.value: keys.pair(role)[0] for role in ROLES}
