#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Ask a Stoker cluster for its state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_info
short_description: Ask a Stoker cluster for its state
description:
  - Returns what C(stoker status --json) shows, and can wait until workers are registered.
  - The host runs only that program, which is quicker than a module.
options:
  command:
    description: The C(stoker) program.
    type: path
    default: stoker
  environment:
    description: Variables added to the environment, such as SPARK_CONF_DIR.
    type: dict
    default: {}
  master:
    description: Master URL; by default the configured one.
    type: str
  id:
    description: A driver or application instead of the cluster.
    type: str
  expected:
    description: Hosts whose workers must be registered.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the host in messages.
        type: str
        required: true
      host:
        description: Host name or address its workers are known by.
        type: str
        required: true
      workers:
        description: How many workers are expected there.
        type: int
        default: 1
  timeout:
    description: Seconds to wait for the workers.
    type: int
    default: 30
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Look at the cluster
  stoker.spark.stoker_info:
    master: spark://localhost:7077
  register: cluster
"""

RETURN = r"""
status:
  description: The cluster, driver or application.
  type: dict
  returned: success
alive:
  description: Ids of the ALIVE workers.
  type: list
  elements: str
  returned: success
missing:
  description: Names of the hosts in O(expected) that lack workers.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "command": {"type": "path", "default": "stoker"},
    "environment": {"type": "dict", "default": {}},
    "master": {"type": "str"},
    "id": {"type": "str"},
    "expected": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "workers": {"type": "int", "default": 1},
        },
    },
    "timeout": {"type": "int", "default": 30},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.fail_json(msg="stoker_info runs on the controller, and its action plugin is not installed")


if __name__ == "__main__":
    main()
