#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Write several configuration files, all or none."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_files
short_description: Write several configuration files, all or none
description:
  - Writes the files that differ from what is wanted. Each is checked by its own command first; if one is refused, none
    is replaced.
  - One task for all of a host's files, because a task costs a round trip.
options:
  files:
    description: What is wanted.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it goes. Its folder is made, as closed as the file, where it is missing.
        type: path
        required: true
      content:
        description: All of it.
        type: str
        required: true
      mode:
        description: Its permissions, in octal.
        type: str
        default: "0644"
      owner:
        description: Its owner, if not the connecting user.
        type: str
        default: ""
      validate:
        description: Program and arguments that end with 0 if the file is good; C(%s) is its path.
        type: list
        elements: str
        default: []
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Write spark-env
  stoker.spark.stoker_files:
    files:
      - path: /etc/stoker/spark-env
        content: |
          SPARK_WORKER_CORES=4
        validate: [stoker, config, check, --as, spark-env, "%s"]
"""

RETURN = r"""
changed_files:
  description: Paths of the files that were (or would be) written.
  type: list
  returned: always
"""

import os
import pwd
import subprocess

from ansible.module_utils.basic import AnsibleModule


class Wanted:
    def __init__(self, spec: dict) -> None:
        self.path = spec["path"]
        self.content = spec["content"]
        self.mode = int(spec["mode"], 8)
        self.owner = pwd.getpwnam(spec["owner"]) if spec["owner"] and _is_user(spec["owner"]) else None
        self.validate = spec["validate"]
        self.part = f"{self.path}.{os.getpid()}.new"
        try:
            with open(self.path) as file:
                self.before = file.read()
            status = os.stat(self.path)
            right = status.st_mode & 0o7777 == self.mode and self.owner in (None, _user_of(status.st_uid))
        except FileNotFoundError:
            self.before, right = "", False
        self.differs = not right or self.before != self.content

    def write(self) -> None:
        """Beside its place, with its permissions from the first byte on."""
        self._make_folder()
        descriptor = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.content)
            os.fchmod(descriptor, self.mode)
            if self.owner is not None:
                os.fchown(descriptor, self.owner.pw_uid, self.owner.pw_gid)
            file.flush()
            os.fsync(descriptor)

    def _make_folder(self) -> None:
        """Closed to those the file is closed to."""
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            os.makedirs(os.path.dirname(folder), exist_ok=True)
            os.mkdir(folder, self.mode | (self.mode & 0o444) >> 2)
            if self.owner is not None:
                os.chown(folder, self.owner.pw_uid, self.owner.pw_gid)

    def problem(self) -> str:
        if not self.validate:
            return ""
        words = [word.replace("%s", self.part) for word in self.validate]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError as error:
            return f"cannot run {words[0]}: {error.strerror}"
        if done.returncode == 0:
            return ""
        return (done.stderr or done.stdout).strip().replace(self.part, self.path) or f"{words[0]} refused {self.path}"


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


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True},
                    "mode": {"type": "str", "default": "0644"},
                    "owner": {"type": "str", "default": ""},
                    "validate": {"type": "list", "elements": "str", "default": []},
                },
            }
        },
        supports_check_mode=True,
    )
    try:
        wanted = [found for found in map(Wanted, module.params["files"]) if found.differs]
        written = [] if module.check_mode and not _can_try(wanted) else _write(module, wanted)
    except OSError as error:
        module.fail_json(msg=f"cannot write {error.filename}: {error.strerror}")
    if not module.check_mode:
        for file in written:
            os.replace(file.part, file.path)
    diff = [
        {"before": file.before, "after": file.content, "before_header": file.path, "after_header": file.path}
        for file in wanted
    ]
    module.exit_json(changed=bool(wanted), changed_files=[file.path for file in wanted], diff=diff)


def _can_try(wanted: list) -> bool:
    """In check mode on a host that has nothing yet, there is neither folder nor program to check with."""
    return all(os.path.isdir(os.path.dirname(file.path)) for file in wanted) and all(
        os.path.exists(file.validate[0]) for file in wanted if file.validate
    )


def _write(module: AnsibleModule, wanted: list) -> list:
    """The parts of all files, checked; none is left behind when one is refused, or in check mode."""
    try:
        for file in wanted:
            file.write()
        problems = [problem for problem in (file.problem() for file in wanted) if problem]
    except OSError:
        _remove(wanted)
        raise
    if problems or module.check_mode:
        _remove(wanted)
    if problems:
        module.fail_json(msg="\n".join(problems))
    return wanted


def _remove(wanted: list) -> None:
    for file in wanted:
        if os.path.exists(file.part):
            os.unlink(file.part)


if __name__ == "__main__":
    main()
