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
  spark_env:
    description: Text of a spark-env.
    type: str
    required: true
  spark_defaults:
    description: Text of a spark-defaults.conf.
    type: str
    required: true
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Check before anything is installed
  stoker.spark.stoker_settings:
    masters: [localhost]
    spark_env: SPARK_WORKER_CORES=4
    spark_defaults: spark.worker.timeout 30s
"""

RETURN = r"""
changed:
  description: Never true.
  type: bool
  returned: always
spark_env:
  description: The checked text.
  type: str
  returned: success
spark_defaults:
  description: The checked text.
  type: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "masters": {"type": "list", "elements": "str", "required": True},
            "spark_env": {"type": "str", "required": True},
            "spark_defaults": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="stoker_settings runs on the controller, and its action plugin is not installed")


if __name__ == "__main__":
    main()
