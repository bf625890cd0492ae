#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Ask a Stoker cluster for its state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_info
short_description: Ask a Stoker cluster for its state
description:
  - Returns what C(stoker status --json) shows, and can wait until a number of workers are registered.
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
  workers:
    description: Wait until so many workers are ALIVE.
    type: int
    default: 0
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
  returned: when the cluster was asked for
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
            "workers": {"type": "int", "default": 0},
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
        alive = [worker["id"] for worker in status.get("workers", []) if worker["state"] == "ALIVE"]
        if len(alive) >= params["workers"]:
            module.exit_json(changed=False, status=status, alive=alive)
        if time.monotonic() > deadline:
            module.fail_json(
                msg=f"{len(alive)} of {params['workers']} workers are registered: {', '.join(alive) or 'none'}",
                alive=alive,
            )
        time.sleep(0.1)


if __name__ == "__main__":
    main()
