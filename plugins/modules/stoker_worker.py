#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Drain, undrain and forget workers of a Stoker cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_worker
short_description: Drain, undrain and forget workers of a Stoker cluster
description:
  - Nothing new is placed on a draining worker, and its jobs go on. That lasts over restarts of worker and master.
  - Needs the admin key of the machine it runs on.
options:
  names:
    description: Workers by id, host (all workers there) or HOST:PORT.
    type: list
    elements: str
    required: true
  state:
    description:
      - With V(draining), nothing new is placed there. V(working) ends that.
      - V(forgotten) removes DEAD workers from the master's list. A worker that is not on it counts as forgotten.
    type: str
    choices: [draining, working, forgotten]
    default: draining
  reason:
    description: With O(state=draining), why, for others who look at the workers.
    type: str
    default: ""
  deadline:
    description:
      - With O(state=draining), when to stop what still runs there, such as V(2h) from now. Without it, nothing is stopped.
      - Each run with a deadline sets it anew, counted from then.
    type: str
    default: ""
  wait:
    description: With O(state=draining), wait until no job runs there, and show how many are left.
    type: bool
    default: false
  timeout:
    description: Seconds to wait before the task fails. With O(state=forgotten), how long a worker may take to be DEAD.
    type: int
    default: 3600
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
- name: Empty a host for maintenance
  stoker.spark.stoker_worker:
    names: [host1]
    reason: new disk
    deadline: 2h
    wait: true

- name: Use it again
  stoker.spark.stoker_worker:
    names: [host1]
    state: working
"""

RETURN = r"""
workers:
  description: The workers, as C(stoker status --json) shows them.
  type: list
  elements: dict
  returned: success
"""

import json
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

LOOK_AGAIN = 0.5  # seconds between two looks at whether a worker is DEAD yet


class StokerProgram:
    def __init__(self, module: AnsibleModule) -> None:
        self.module = module

    def ask(self, name: str, *words: str, fail: bool = True) -> tuple[dict[str, Any], str]:
        """(what it says, why it refused)."""
        params = self.module.params
        master = ["--master", params["master"]] if params["master"] else []
        command = [params["command"], name, "--json", *master, *words]
        environ = {**os.environ, "STOKER_DOOR": "playbook", **params["environment"]}
        code, out, err = self.module.run_command(command, environ_update=environ)
        if code != 0 and fail:
            self.module.fail_json(msg=_said(err) or f"stoker {name} exited with {code}", rc=code)
        return (json.loads(out) if code == 0 else {}), _said(err)

    def chosen(self, *, all_known: bool) -> list[dict[str, Any]]:
        """The workers that the names mean, as the master would choose them."""
        workers = self.ask("status")[0]["workers"]
        chosen: dict[str, dict[str, Any]] = {}
        for name in self.module.params["names"]:
            found = [worker for worker in workers if _is_called(worker, name)]
            if not found and all_known:
                self.module.fail_json(msg=f"there is no worker {name}; {_listed(workers)}")
            chosen.update((worker["id"], worker) for worker in found)
        return list(chosen.values())


def _said(errors: str) -> str:
    lines = errors.strip().splitlines() or [""]
    return lines[-1].removeprefix("stoker: ")


def _is_called(worker: dict[str, Any], name: str) -> bool:
    host = worker["host"]
    address = f"[{host}]:{worker['port']}" if ":" in host else f"{host}:{worker['port']}"
    return name == worker["id"] or name.lower() in (host.lower(), address.lower())


def _listed(workers: list[dict[str, Any]]) -> str:
    names = sorted({worker["host"] for worker in workers})
    return f"those known are on {', '.join(names[:20])}" if names else "the master knows none"


def _drain(cluster: StokerProgram, draining: bool) -> None:
    module = cluster.module
    workers = cluster.chosen(all_known=True)
    reason, deadline = module.params["reason"].strip(), module.params["deadline"].strip()
    changed = any(
        worker["draining"] is not draining or (draining and reason and worker.get("drain_reason") != reason)
        for worker in workers
    )
    changed = changed or bool(draining and deadline)
    if changed and not module.check_mode:
        ids = [worker["id"] for worker in workers]
        terms = [f"--reason={reason}"] * bool(reason) + [f"--deadline={deadline}"] * bool(deadline)
        workers = (
            cluster.ask("drain", *terms, *ids)[0]["workers"] if draining else cluster.ask("undrain", *ids)[0]["workers"]
        )
    module.exit_json(changed=changed, workers=workers)


def _forget(cluster: StokerProgram) -> None:
    module = cluster.module
    workers = cluster.chosen(all_known=False)
    if workers and not module.check_mode:
        deadline = time.monotonic() + module.params["timeout"]
        ids = [worker["id"] for worker in workers]
        while True:
            answer, refusal = cluster.ask("forget", *ids, fail=False)
            if answer or not cluster.chosen(all_known=False):
                break
            if time.monotonic() > deadline:
                module.fail_json(msg=refusal)
            time.sleep(LOOK_AGAIN)
    module.exit_json(changed=bool(workers), workers=workers)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["draining", "working", "forgotten"], "default": "draining"},
            "reason": {"type": "str", "default": ""},
            "deadline": {"type": "str", "default": ""},
            "wait": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 3600},
            "command": {"type": "path", "default": "stoker"},
            "environment": {"type": "dict", "default": {}},
            "master": {"type": "str"},
        },
        supports_check_mode=True,
    )
    cluster = StokerProgram(module)
    if module.params["state"] == "forgotten":
        _forget(cluster)
    else:
        _drain(cluster, module.params["state"] == "draining")


if __name__ == "__main__":
    main()
