#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Report what a host has of a ZooKeeper member."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_zookeeper_info
short_description: Report what a host has of a ZooKeeper member
description:
  - Reports whether ZooKeeper is installed, whether user and folders exist, and whether the member has data. Changes nothing.
options:
  conf_dir:
    description: Folder of the member's configuration.
    type: path
    required: true
  data_dir:
    description: Folder of the member's data.
    type: path
    required: true
  user:
    description: System user the member runs as.
    type: str
    required: true
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Look at the member
  stoker.spark.stoker_zookeeper_info:
    conf_dir: /etc/stoker/zookeeper
    data_dir: /var/lib/stoker-zookeeper
    user: stoker-zookeeper
"""

RETURN = r"""
missing:
  description: Missing files of Java and ZooKeeper.
  type: list
  elements: str
  returned: always
is_installed:
  description: Whether none is missing.
  type: bool
  returned: always
is_prepared:
  description: Whether user and folders are there as they should be.
  type: bool
  returned: always
number:
  description: The member's number, empty where there is none yet.
  type: str
  returned: always
has_data:
  description: Whether it has ever held data.
  type: bool
  returned: always
"""

import glob
import os
import pwd

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils.advice import explained

PROGRAMS = ("/usr/bin/java", "/usr/share/java/zookeeper.jar", "/usr/share/java/slf4j-simple.jar")


def _is_prepared(conf_dir: str, data_dir: str, user: str) -> bool:
    try:
        owner = pwd.getpwnam(user)
        found = os.stat(data_dir)
    except (KeyError, FileNotFoundError):
        return False
    return os.path.isdir(conf_dir) and found.st_uid == owner.pw_uid and found.st_mode & 0o7777 == 0o700


def _number(data_dir: str) -> str:
    try:
        with open(os.path.join(data_dir, "myid")) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def _has_data(data_dir: str) -> bool:
    """Snapshots and transaction logs: a member that never found the others has neither."""
    folder = os.path.join(glob.escape(data_dir), "version-2")
    return any(glob.glob(os.path.join(folder, kind)) for kind in ("snapshot.*", "log.*"))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "conf_dir": {"type": "path", "required": True},
            "data_dir": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    conf_dir, data_dir = module.params["conf_dir"], module.params["data_dir"]
    missing = [path for path in PROGRAMS if not os.path.exists(path)]
    try:
        module.exit_json(
            changed=False,
            missing=missing,
            is_installed=not missing,
            is_prepared=_is_prepared(conf_dir, data_dir, module.params["user"]),
            number=_number(data_dir),
            has_data=_has_data(data_dir),
        )
    except OSError as error:
        module.fail_json(msg=explained(error, data_dir))


if __name__ == "__main__":
    main()
