#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Submit programs to a Stoker cluster, and kill drivers and applications."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_driver
short_description: Submit programs to a Stoker cluster, and kill drivers and applications
description:
  - With O(state=submitted) runs a program in the cluster; with O(state=killed) kills a driver or application.
  - A driver or application that has ended is not killed again.
  - With O(name), nothing is submitted if a driver of that name runs or waits already.
options:
  state:
    description: Wanted state.
    type: str
    choices: [submitted, killed]
    default: submitted
  id:
    description: The driver or application to kill.
    type: str
  name:
    description:
      - The driver's name. At most one driver of this name is submitted at a time; O(state=killed) kills all drivers and
        applications of this name.
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
    description: Wait until the driver has ended, and fail when it failed. Not with O(name), which is for services.
    type: bool
  admin:
    description: Kill with the host's admin key, which may kill everybody's jobs. Hosts with a master have one.
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
- name: Run a job and show its output
  stoker.spark.stoker_driver:
    app: /srv/job.py
    args: ["2026-01-31"]
    wait: true
  register: job

- name: Have a supervised service run
  stoker.spark.stoker_driver:
    name: service
    app: /srv/service.py
    options: [--supervise]

- name: Kill it
  stoker.spark.stoker_driver:
    name: service
    state: killed
"""

RETURN = r"""
id:
  description: The driver or application. Empty in check mode, and if there was nothing of this name to kill.
  type: str
  returned: success
ids:
  description: All killed drivers and applications.
  type: list
  elements: str
  returned: when O(state=killed)
stdout:
  description: Output of the program, with O(wait=true).
  type: str
  returned: when O(wait=true)
"""

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

OVER = {"FINISHED", "FAILED", "KILLED", "ERROR"}


def _stoker(module: AnsibleModule, name: str, *words: str) -> tuple[int, str, str]:
    params = module.params
    master = ["--master", params["master"]] if params["master"] else []
    command = [params["command"], name, *master, *words]
    environ = {**os.environ, "STOKER_DOOR": "playbook", **params["environment"]}
    code, out, err = module.run_command(command, environ_update=environ)
    return code, out, err


def _ask(module: AnsibleModule, *words: str) -> dict[str, Any]:
    """Return the answer of ``stoker status`` for the cluster or one job."""
    code, out, err = _stoker(module, "status", "--json", *words)
    if code != 0:
        module.fail_json(msg=err.strip() or f"stoker status exited with {code}", rc=code)
    return dict(json.loads(out))


def _named(cluster: dict[str, Any], name: str, *tables: str) -> list[str]:
    """Return the ids of the jobs of that name that have not ended."""
    return [job["id"] for table in tables for job in cluster[table] if job["name"] == name]


def _kill(module: AnsibleModule) -> None:
    job, name = module.params["id"], module.params["name"]
    if job:
        jobs = [] if _ask(module, job)["state"] in OVER else [job]
    else:
        jobs = _named(_ask(module), name, "active_drivers", "active_apps")
    if jobs and not module.check_mode:
        admin = ["--admin"] if module.params["admin"] else []
        code, _, err = _stoker(module, "kill", *admin, *jobs)
        if code != 0:
            module.fail_json(msg=err.strip() or f"stoker kill exited with {code}", rc=code)
    module.exit_json(changed=bool(jobs), id=job or (jobs[0] if jobs else ""), ids=jobs)


def _submit(module: AnsibleModule) -> None:
    params = module.params
    name = ["--name", params["name"]] if params["name"] else []
    running = _named(_ask(module), params["name"], "active_drivers") if name else []
    if running or module.check_mode:
        module.exit_json(changed=not running, id=running[0] if running else "")
    wait = ["--wait"] if params["wait"] else []
    code, out, err = _stoker(module, "submit", *wait, *name, *params["options"], params["app"], *params["args"])
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
            "name": {"type": "str"},
            "app": {"type": "str"},
            "args": {"type": "list", "elements": "str", "default": []},
            "options": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "bool"},
            "admin": {"type": "bool", "default": False},
            "command": {"type": "path", "default": "stoker"},
            "environment": {"type": "dict", "default": {}},
            "master": {"type": "str"},
        },
        required_if=[("state", "killed", ["id", "name"], True), ("state", "submitted", ["app"])],
        mutually_exclusive=[("id", "name"), ("name", "wait")],
        supports_check_mode=True,
    )
    if module.params["state"] == "killed":
        _kill(module)
    else:
        _submit(module)


if __name__ == "__main__":
    main()
