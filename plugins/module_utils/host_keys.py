# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The keys of a host, in its keys folder; private keys never leave it."""

from __future__ import annotations

import glob
import json
import os
import pwd
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

KEY_LENGTH = 40  # characters of a CURVE key; files of keys have the public one first

Keys = dict[str, dict[str, str]]  # "public" and "staged": role -> public key


def known(keys: dict[str, Any]) -> dict[str, Any]:
    """Return ``keys`` with both parts, as the module returns them."""
    return {"public": keys.get("public", {}), "staged": keys.get("staged", {})}


def text_of(path: str) -> str:
    """Return the text of a file; "" if it cannot be read."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


class HostKeys:
    """``stoker`` is the host's program. ``changes`` gets a line for each change, also in check mode, which makes none.
    ``is_settled`` says, after ``make``, whether `stoker keys make` has nothing to do, also nothing that is no change."""

    def __init__(self, module: AnsibleModule, stoker: str, changes: list[str]) -> None:
        self._module, self._params = module, module.params
        self._stoker, self._changes = stoker, changes
        self.is_settled = True

    def make(self) -> Keys:
        """Return ``public`` and ``staged`` keys by role; without those that check mode does not make."""
        roles, dry = self._params["keys"], bool(self._module.check_mode)
        missing = [role for role in roles if not os.path.exists(f"{self._params['conf_dir']}/keys/private/{role}.key")]
        if missing:
            self._changes.append(f"keys for {', '.join(missing)}")
        if not roles or (missing and dry):
            return {}
        public = self._read()
        self.is_settled = bool(public)
        public = public or (self._run("show") if dry else self._run("make", *roles))
        step = self._params["rotation"]
        if step == "none" or (step == "switch" and not public["staged"]):
            return public
        if step == "switch" or not public["staged"]:
            self._changes.append(f"{step} of keys")
        return public if dry else self._run(step)

    def _read(self) -> Keys:
        """Return what `stoker keys show` prints, without starting it; nothing if it would make or reject something."""
        folder = f"{self._params['conf_dir']}/keys"
        found: Keys = {"public": {}, "staged": {}}
        for path in glob.glob(f"{folder}/private/*.key") + glob.glob(f"{folder}/private/*.key.next"):
            which = "staged" if path.endswith(".next") else "public"
            lines = text_of(path).split()
            if len(lines) != 2 or len(lines[0]) != KEY_LENGTH:
                return {}
            found[which][os.path.basename(path).split(".")[0]] = lines[0]
        is_whole = os.path.exists(f"{folder}/managed") and set(self._params["keys"]) <= set(found["public"])
        return found if is_whole else {}

    def _run(self, *command: str) -> Keys:
        words = [self._stoker, "keys", *command, "--json"]
        state, name = self._params["state_dir"], self._params["user"]
        environ = {**os.environ, "SPARK_CONF_DIR": self._params["conf_dir"], "HOME": state, "STOKER_STATE_DIR": state}
        environ.pop("STOKER_KEYS_DIR", None)
        user = {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []} if name else {}
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, cwd="/", **user)
        if done.returncode != 0:
            self._module.fail_json(msg=done.stderr.strip() or f"`stoker keys` ended with {done.returncode}")
        return dict(json.loads(done.stdout))
