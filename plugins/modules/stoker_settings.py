#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Check a host's settings before anything is done to the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_settings
short_description: Check a host's settings before anything is done to the host
description:
  - Fails with a line for every setting that daemons would reject; the line names the setting and the fix.
  - Runs on the controller, whose Python needs the C(stoker) package. Changes nothing.
options:
  masters:
    description: Hosts of the cluster's masters. There must be one.
    type: list
    elements: str
    required: true
  env:
    description: Environment of the daemons, which becomes C(spark-env).
    type: dict
    required: true
  properties:
    description: Properties of the daemons, which become C(spark-defaults.conf).
    type: dict
    required: true
  pools:
    description: The text of C(pools.yml). Empty for none.
    type: str
    default: ""
  spark_clients:
    description: A line for each Spark client, with its name, its pool if it has one, and its secret. Empty for none.
    type: str
    default: ""
  users:
    description: The text of C(users.yml). Empty for none.
    type: str
    default: ""
  evaluate:
    description:
      - Names of variables to evaluate, each once. Put a variable after those that it is made of. O(masters), O(env) and
        O(properties) come before all of them, as C(stoker_common_master_hosts), C(stoker_common_env) and
        C(stoker_common_properties).
    type: list
    elements: str
    default: []
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Check before anything is installed
  stoker.spark.stoker_settings:
    masters: [localhost]
    env:
      SPARK_WORKER_CORES: 4
    properties:
      spark.worker.timeout: 30s
    pools: "{{ {'pools': {'etl': {'weight': 2}}} | ansible.builtin.to_nice_yaml }}"
"""

RETURN = r"""
changed:
  description: Never true.
  type: bool
  returned: always
masters:
  description: As given. Later tasks take all of these from here, because Ansible evaluates a variable at each use.
  type: list
  elements: str
  returned: success
env:
  description: As given.
  type: dict
  returned: success
properties:
  description: As given.
  type: dict
  returned: success
values:
  description: The values of O(evaluate), by name.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "masters": {"type": "list", "elements": "str", "required": True},
            "env": {"type": "dict", "required": True},
            "properties": {"type": "dict", "required": True},
            "pools": {"type": "str", "default": ""},
            "spark_clients": {"type": "str", "default": "", "no_log": True},
            "users": {"type": "str", "default": ""},
            "evaluate": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="stoker_settings runs on the controller, and its action plugin is not installed")


if __name__ == "__main__":
    main()
