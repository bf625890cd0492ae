#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Ask a Stoker cluster for its state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_info
short_description: Ask a Stoker cluster for its state
description:
  - Returns what C(stoker status --json) shows, and can wait until workers are registered.
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
    description: Hosts whose workers are waited for.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What to call the host when it is missing.
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
    description: Seconds to wait for them.
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

import json
import os
import time

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec={
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
        },
        supports_check_mode=True,
    )
    params = module.params
    words = [params["command"], "status", "--json"]
    words += ["--master", params["master"]] if params["master"] else []
    words += [params["id"]] if params["id"] else []
    deadline = time.monotonic() + params["timeout"]
    while True:
        code, out, err = module.run_command(words, environ_update={**os.environ, **params["environment"]})
        if code != 0:
            module.fail_json(msg=err.strip() or f"stoker status exited with {code}", rc=code)
        status = json.loads(out)
        workers = [worker for worker in status.get("workers", []) if worker["state"] == "ALIVE"]
        hosts = [worker["host"] for worker in workers]
        missing = [host["name"] for host in params["expected"] if hosts.count(host["host"]) < host["workers"]]
        if not missing:
            module.exit_json(changed=False, status=status, alive=[worker["id"] for worker in workers], missing=[])
        if time.monotonic() > deadline:
            module.fail_json(
                msg=f"{status['url']} has {len(hosts)} workers; it misses workers of {', '.join(missing)}: see the log of"
                " `stoker worker` there",
                missing=missing,
            )
        time.sleep(0.1)


if __name__ == "__main__":
    main()
