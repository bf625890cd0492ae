#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Submit programs to a Stoker cluster, and kill drivers and applications."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_driver
short_description: Submit programs to a Stoker cluster, and kill drivers and applications
description:
  - With O(state=submitted) runs a program in the cluster; with O(state=killed) ends a driver or application.
  - A driver or application that is over already is not killed again.
options:
  state:
    description: Wanted state.
    type: str
    choices: [submitted, killed]
    default: submitted
  id:
    description: The driver or application to kill.
    type: str
  app:
    description: The program to submit, a path or URL.
    type: str
  args:
    description: Its arguments.
    type: list
    elements: str
    default: []
  options:
    description: Options of C(stoker submit), such as C(--supervise).
    type: list
    elements: str
    default: []
  wait:
    description: Wait until the driver has ended, and fail when it failed.
    type: bool
    default: false
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
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Submit a supervised service
  stoker_driver:
    app: /srv/service.py
    options: [--supervise]
  register: service

- name: Kill it
  stoker_driver:
    id: "{{ service.id }}"
    state: killed
"""

RETURN = r"""
id:
  description: The driver or application.
  type: str
  returned: success
stdout:
  description: What the program wrote, with O(wait=true).
  type: str
  returned: when it was waited for
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule

OVER = {"FINISHED", "FAILED", "KILLED", "ERROR"}


def _stoker(module: AnsibleModule, name: str, *words: str) -> tuple[int, str, str]:
    params = module.params
    master = ["--master", params["master"]] if params["master"] else []
    command = [params["command"], name, *master, *words]
    return module.run_command(command, environ_update={**os.environ, **params["environment"]})


def _kill(module: AnsibleModule) -> None:
    job = module.params["id"]
    code, out, err = _stoker(module, "status", "--json", job)
    if code != 0:
        module.fail_json(msg=err.strip() or f"stoker status exited with {code}", rc=code)
    is_over = json.loads(out)["state"] in OVER
    if is_over or module.check_mode:
        module.exit_json(changed=not is_over, id=job)
    code, _, err = _stoker(module, "kill", job)
    if code != 0:
        module.fail_json(msg=err.strip() or f"stoker kill exited with {code}", rc=code)
    module.exit_json(changed=True, id=job)


def _submit(module: AnsibleModule) -> None:
    if module.check_mode:
        module.exit_json(changed=True, id="")
    params = module.params
    wait = ["--wait"] if params["wait"] else []
    code, out, err = _stoker(module, "submit", *wait, *params["options"], params["app"], *params["args"])
    if code != 0:
        module.fail_json(msg=err.strip() or f"it ended with exit code {code}", rc=code, stdout=out, stderr=err)
    lines = (err if wait else out).split()
    job = next((word.rstrip(":,.") for word in lines if word.startswith("driver-")), "")
    module.exit_json(changed=True, id=job, stdout=out if wait else "")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["submitted", "killed"], "default": "submitted"},
            "id": {"type": "str"},
            "app": {"type": "str"},
            "args": {"type": "list", "elements": "str", "default": []},
            "options": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "bool", "default": False},
            "command": {"type": "path", "default": "stoker"},
            "environment": {"type": "dict", "default": {}},
            "master": {"type": "str"},
        },
        required_if=[("state", "killed", ["id"]), ("state", "submitted", ["app"])],
        supports_check_mode=True,
    )
    if module.params["state"] == "killed":
        _kill(module)
    else:
        _submit(module)


if __name__ == "__main__":
    main()
