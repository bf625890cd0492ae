# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Several configuration files, written all or none (M(stoker.spark.stoker_files))."""

from __future__ import annotations

import os
import pwd
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils.advice import explained

# All are UTF-8, whatever the locale of the host, and line ends stay as they are.
FILE: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "str", "default": ""},
    "validate": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
SPEC = {"type": "list", "elements": "dict", "default": [], "options": FILE}
SECRETS = {**SPEC, "options": {**FILE, "content": {**FILE["content"], "no_log": True}}}


def write_files(module: AnsibleModule) -> dict[str, Any]:
    """Write the module's ``files``, and ``secrets`` where it has such, and return what it reports about them (changed,
    changed_files, diff, which shows no secret). Fails the module if a file cannot be written or is rejected; then none is
    replaced. In check mode none is."""
    secrets = module.params.get("secrets", [])
    try:
        wanted = differing(module)
        written = [] if module.check_mode and not _can_try(wanted) else _write(module, wanted)
    except OSError as error:
        module.fail_json(msg=f"cannot write {explained(error, 'the files')}")
    if not module.check_mode:
        for file in written:
            file.put()
    diff = [
        {"before": file.before, "after": file.after, "before_header": file.path, "after_header": file.path}
        for file in wanted
        if file.path not in {secret["path"] for secret in secrets}
    ]
    return {"changed": bool(wanted), "changed_files": [file.path for file in wanted], "diff": diff}


def differing(module: AnsibleModule) -> list[Wanted]:
    """Return those of the module's ``secrets`` and ``files`` that the host does not have as they should be."""
    return [file for file in map(Wanted, [*module.params.get("secrets", []), *module.params["files"]]) if file.differs]


class Wanted:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.path = spec["path"]
        self.content = spec["content"]
        self.mode = int(spec["mode"], 8)
        self.owner = pwd.getpwnam(spec["owner"]) if spec["owner"] and _is_user(spec["owner"]) else None
        self.is_absent = spec["state"] == "absent"
        self.after = "" if self.is_absent else self.content
        self.validate = [] if self.is_absent else spec["validate"]
        self.part = f"{self.path}.{os.getpid()}.new"
        self._check: subprocess.Popen[str] | None = None
        self._problem = ""
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                self.before = file.read()
            status = os.stat(self.path)
            right = status.st_mode & 0o7777 == self.mode and self.owner in (None, _user_of(status.st_uid))
            exists = True
        except FileNotFoundError:
            self.before, right, exists = "", False, False
        if self.is_absent:
            self.differs = exists and self.before.startswith(self.content)
        else:
            self.differs = not right or self.before != self.content

    def write(self) -> None:
        """Write it beside its place, with its permissions from the first byte on."""
        if self.is_absent:
            return
        self._make_folder()
        descriptor = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(self.content)
            os.fchmod(descriptor, self.mode)
            if self.owner is not None:
                os.fchown(descriptor, self.owner.pw_uid, self.owner.pw_gid)
            file.flush()
            os.fsync(descriptor)

    def put(self) -> None:
        """Put what was written into its place, or remove the file."""
        if self.is_absent:
            os.unlink(self.path)
        else:
            os.replace(self.part, self.path)

    def _make_folder(self) -> None:
        """Make the folder, closed to those whom the file is closed to."""
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            os.makedirs(os.path.dirname(folder), exist_ok=True)
            os.mkdir(folder, self.mode | (self.mode & 0o444) >> 2)
            if self.owner is not None:
                os.chown(folder, self.owner.pw_uid, self.owner.pw_gid)

    def begin_check(self) -> None:
        if self.validate:
            words = [word.replace("%s", self.part) for word in self.validate]
            try:
                self._check = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            except OSError as error:
                self._problem = f"cannot run {words[0]}: {error.strerror}"

    def problem(self) -> str:
        """Return what its check objects to; empty if nothing."""
        if self._check is not None:
            said = self._check.communicate()[0].strip().replace(self.part, self.path)
            if self._check.returncode != 0:
                self._problem = said or f"{self.validate[0]} rejected {self.path}"
        return self._problem


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _user_of(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None


def _can_try(wanted: list[Wanted]) -> bool:
    """Whether files can be tried: in check mode, a host that has nothing yet lacks the folder or the checking program."""
    return all(os.path.isdir(os.path.dirname(file.path)) for file in wanted) and all(
        os.path.exists(file.validate[0]) for file in wanted if file.validate
    )


def _write(module: AnsibleModule, wanted: list[Wanted]) -> list[Wanted]:
    """Write and check the new versions of all files; none is left behind if one is rejected, or in check mode."""
    try:
        for file in wanted:
            file.write()
        for file in wanted:
            file.begin_check()
        problems = [problem for problem in [file.problem() for file in wanted] if problem]
    except OSError:
        _remove(wanted)
        raise
    if problems or module.check_mode:
        _remove(wanted)
    if problems:
        module.fail_json(msg="\n".join(problems))
    return wanted


def _remove(wanted: list[Wanted]) -> None:
    for file in wanted:
        if os.path.exists(file.part):
            os.unlink(file.part)
