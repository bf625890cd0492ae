#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Remove what the playbooks put on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_uninstall
short_description: Remove what the playbooks put on a host
description:
  - Removes units, releases, configuration, secrets and keys; with O(purge=true) also work directories, records, logs and
    the user.
  - In folders that a user may have chosen, removes only what Stoker makes there, and the folder if it is empty then.
  - Fails while a daemon runs.
options:
  prefix:
    description: Where releases are.
    type: path
    required: true
  links:
    description: Symbolic links into O(prefix) to remove.
    type: list
    elements: path
    default: []
  conf_dir:
    description: Where configuration and keys are.
    type: path
    required: true
  state_dir:
    description: Where daemons keep their state.
    type: path
    required: true
  pid_dir:
    description: Folder of the pid files.
    type: path
    required: true
  log_dir:
    description: Folder of the daemons' log files.
    type: path
    required: true
  work_dir:
    description: Where workers keep the directories of drivers and applications.
    type: path
    default: ""
  recovery_dir:
    description: Where a master keeps its records.
    type: path
    default: ""
  local_dirs:
    description: Scratch folders of executors that were chosen instead of the one in O(state_dir).
    type: list
    elements: path
    default: []
  upload_dir:
    description: Where masters keep uploaded files, if that is not in O(state_dir).
    type: path
    default: ""
  audit_file:
    description: The audit trail, if that is not in O(state_dir).
    type: path
    default: ""
  user:
    description: System user made for Stoker.
    type: str
    default: ""
  zookeeper_dir:
    description: Where a ZooKeeper member keeps its data.
    type: path
    default: ""
  zookeeper_user:
    description: System user made for ZooKeeper.
    type: str
    default: ""
  purge:
    description: Also remove data that cannot be made again, such as work directories, records, logs and users.
    type: bool
    default: false
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Remove Stoker, keep its data
  stoker.spark.stoker_uninstall:
    prefix: /opt/stoker
    conf_dir: /etc/stoker
    state_dir: /var/lib/stoker
    pid_dir: /var/lib/stoker/run
    log_dir: /var/lib/stoker/log
"""

RETURN = r"""
removed:
  description: What was (or would be) removed.
  type: list
  elements: str
  returned: always
"""

import contextlib
import glob
import os
import pwd
import shutil

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils.advice import explained

UNITS = "/etc/systemd/system"
CONFIGURATION = (
    *("spark-env", "spark-defaults.conf", "pools.yml", "client"),
    *("keys", "secrets", "zookeeper", "zookeeper.auth"),
)
OF_ZOOKEEPER = ("version-2", "myid")
SECRETS = ("master-*/seal",)  # in the state folder
OF_MASTER = ("master-*", "audit.log*")
BY_HAND = ("users.yml",)  # which no playbook writes
OF_UPLOADS = ("[0-9a-f]" * 64, "*.part-*")
OF_WORK = ("driver-*", "app-*", ".stoker")


class Removal:
    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.removed: list[str] = []

    def units(self) -> None:
        paths = sorted(glob.glob(f"{UNITS}/stoker-*.service"))
        for path in paths:
            unit = os.path.basename(path)
            code, out, _ = self.module.run_command(["systemctl", "is-active", unit])
            if code == 0:
                self.module.fail_json(msg=f"{unit} is {out.strip()}: stop it first (playbooks/stop-all.yml)")
            self.run("systemctl", "disable", "--quiet", unit)
            self.path(path)
        if paths:
            self.run("systemctl", "daemon-reload")

    def run(self, *words: str) -> None:
        if not self.module.check_mode:
            self.module.run_command(list(words))

    def path(self, path: str) -> None:
        if not os.path.lexists(path):
            return
        self.removed.append(path)
        if self.module.check_mode:
            return
        if os.path.isdir(path) and not os.path.islink(path):
            doomed = f"{path}.removed"  # where nobody finds it to write there still
            os.rename(path, doomed)
            shutil.rmtree(doomed)
        else:
            with contextlib.suppress(FileNotFoundError):  # another master removes it from the folder that they share
                os.unlink(path)

    def inside(self, folder: str, *patterns: str) -> None:
        """Remove only these, and then the folder if it is empty."""
        if not folder or not os.path.isdir(folder):
            return
        for pattern in patterns:
            for path in sorted(glob.glob(os.path.join(folder, pattern))):
                self.path(path)
        if not self.module.check_mode and not os.listdir(folder) and not os.path.ismount(folder):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(folder)
            self.removed.append(folder)

    def user(self, name: str) -> None:
        try:
            pwd.getpwnam(name)
        except KeyError:
            return
        self.removed.append(f"user {name}")
        if not self.module.check_mode:
            self.module.run_command(["userdel", name], check_rc=True)


def _running(pid_dir: str) -> str:
    for path in sorted(glob.glob(os.path.join(pid_dir, "stoker-*.pid"))):
        try:
            with open(path) as file:
                pid, started = file.read().split()[:2]
            with open(f"/proc/{int(pid)}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except (OSError, ValueError):
            continue
        if fields[0] != "Z" and fields[19] == started:
            return os.path.basename(path)[: -len(".pid")]
    return ""


def _remove(module: AnsibleModule, removal: Removal) -> None:
    params = module.params
    removal.units()
    for link in params["links"]:
        if os.path.islink(link) and os.readlink(link).startswith(params["prefix"] + "/"):
            removal.path(link)
    removal.inside(params["prefix"], "current", "releases")
    removal.inside(params["conf_dir"], *CONFIGURATION)
    removal.inside(params["pid_dir"], "stoker-*.pid")
    removal.inside(params["state_dir"], *SECRETS)
    if not params["purge"]:
        return
    removal.inside(params["conf_dir"], *BY_HAND)
    removal.inside(params["work_dir"], *OF_WORK)
    for folder in params["local_dirs"]:
        removal.inside(folder, "stoker-app-*")
    removal.inside(params["upload_dir"], *OF_UPLOADS)
    if params["audit_file"]:
        folder, name = os.path.split(params["audit_file"])
        removal.inside(folder, glob.escape(name) + "*")
    removal.inside(params["recovery_dir"], "recovery.sqlite*")
    removal.inside(params["log_dir"], "stoker-*.log*")
    removal.inside(os.path.join(params["state_dir"], "work"), *OF_WORK)
    removal.inside(params["state_dir"], *OF_MASTER, "local")
    removal.inside(params["zookeeper_dir"], *OF_ZOOKEEPER)
    for user in filter(None, (params["user"], params["zookeeper_user"])):
        removal.user(user)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "links": {"type": "list", "elements": "path", "default": []},
            "conf_dir": {"type": "path", "required": True},
            "state_dir": {"type": "path", "required": True},
            "pid_dir": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "work_dir": {"type": "path", "default": ""},
            "recovery_dir": {"type": "path", "default": ""},
            "local_dirs": {"type": "list", "elements": "path", "default": []},
            "upload_dir": {"type": "path", "default": ""},
            "audit_file": {"type": "path", "default": ""},
            "user": {"type": "str", "default": ""},
            "zookeeper_dir": {"type": "path", "default": ""},
            "zookeeper_user": {"type": "str", "default": ""},
            "purge": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    running = _running(module.params["pid_dir"])
    if running and not module.check_mode:
        module.fail_json(msg=f"{running} runs: stop it first (playbooks/stop-all.yml)")
    removal = Removal(module)
    try:
        _remove(module, removal)
    except OSError as error:
        module.fail_json(msg=explained(error, module.params["prefix"]), removed=removal.removed)
    module.exit_json(changed=bool(removal.removed), removed=removal.removed)


if __name__ == "__main__":
    main()
