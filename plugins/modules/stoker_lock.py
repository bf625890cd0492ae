#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Take or release a cluster's lock on one of its masters."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_lock
short_description: Take or release a cluster's lock on one of its masters
description:
  - One run of the playbooks at a time changes a cluster. A run takes the lock on each reachable master, one after the other,
    before it changes anything, and waits for another holder.
  - The run that holds the lock is the process of C(ansible-playbook). When that process has ended, however it ended, another
    run on the same controller takes the lock at once, and a run on another controller when the lock expires.
  - A run that takes the lock again renews it. Check mode takes no lock.
options:
  cluster:
    description: What is locked on this host, a folder of the cluster's daemons.
    type: path
    required: true
  state:
    description: V(present) takes or renews the lock, V(absent) releases it if this run holds it.
    type: str
    choices: [present, absent]
    default: present
  force:
    description: With V(absent), release the lock whoever holds it.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for another holder.
    type: int
    default: 60
  expires:
    description: Seconds after which a lock that was not renewed is free.
    type: int
    default: 900
  prefix:
    description: Where releases are.
    type: path
  release:
    description:
      - Release that this run brings. Warns when the host has another one, because only C(upgrade.yml) goes back when a host
        fails. Empty for no warning.
    type: str
    default: ""
  run:
    description: Which process of which machine takes the lock, and who runs it; set by the action plugin.
    type: dict
  ended:
    description: A run that has ended, whose lock is free; set by the action plugin.
    type: dict
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Take the cluster's lock
  stoker.spark.stoker_lock:
    cluster: /var/lib/stoker/run
"""

RETURN = r"""
holder:
  description: The other run that holds the lock, or held it before O(force); empty when this one does.
  type: dict
  returned: always
cluster:
  description: What O(cluster) said.
  type: str
  returned: always
current:
  description: Id of the host's current release; empty if none was pushed.
  type: str
  returned: always
"""

import contextlib
import json
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils.advice import explained
from ansible_collections.stoker.spark.plugins.module_utils.lock import digest, folder, locked

PROCESS = ("controller", "machine", "pid", "started")  # what tells one run from all others


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in PROCESS)


def take(path: str, run: dict[str, Any], ended: dict[str, Any], expires: float, now: float) -> dict[str, Any]:
    """Write ``run`` into the file, or return the run that holds it: another one that neither has ended nor has expired."""
    holder = read(path)
    is_free = not holder or is_same(holder, run) or is_same(holder, ended) or holder["until"] < now
    if not is_free:
        return holder
    since = holder["since"] if is_same(holder, run) else now
    with open(f"{path}.new", "w") as file:
        json.dump({**run, "since": since, "until": now + expires}, file)
    os.replace(f"{path}.new", path)
    return {}


def release(path: str, run: dict[str, Any]) -> bool:
    """Remove the file if ``run`` holds it."""
    is_held = is_same(read(path), run)
    if is_held:
        os.unlink(path)
    return is_held


def force(path: str, run: dict[str, Any]) -> dict[str, Any]:
    """Remove the file; return the run that held the lock, unless it is ``run``."""
    holder = read(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return {} if is_same(holder, run) else holder


def read(path: str) -> dict[str, Any]:
    """Return the holder; nothing when there is none, or a file that cannot be understood."""
    try:
        with open(path) as file:
            found = json.load(file)
        return {**found, "since": float(found["since"]), "until": float(found["until"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
            "expires": {"type": "int", "default": 900},
            "prefix": {"type": "path"},
            "release": {"type": "str", "default": ""},
            "run": {"type": "dict"},
            "ended": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    params = module.params
    run, holder = params["run"] or {}, {}
    try:
        if run and not module.check_mode:
            path = os.path.join(folder(module), f"cluster-{digest(params['cluster'])}")
            with locked(module, path):
                if params["state"] == "present":
                    holder = take(path, run, params["ended"] or {}, params["expires"], time.time())
                elif params["force"]:
                    holder = force(path, run)
                else:
                    release(path, run)
    except OSError as error:
        module.fail_json(msg=explained(error, params["cluster"]))
    current = os.path.join(params["prefix"] or "", "current")
    found = os.path.basename(os.readlink(current)) if os.path.islink(current) else ""
    module.exit_json(changed=bool(holder and params["force"]), holder=holder, cluster=params["cluster"], current=found)


if __name__ == "__main__":
    main()
