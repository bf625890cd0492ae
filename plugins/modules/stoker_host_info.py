#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Report which Stoker daemons a host has, and their states."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_host_info
short_description: Report which Stoker daemons a host has, and their states
description:
  - Finds the daemons by their systemd units and pid files, so no master is needed. Changes nothing.
options:
  prefix:
    description: Where releases are.
    type: path
    required: true
  pid_dir:
    description: Folder of the pid files.
    type: path
    required: true
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Look at the daemons
  stoker.spark.stoker_host_info:
    prefix: /opt/stoker
    pid_dir: /var/lib/stoker/run
"""

RETURN = r"""
release:
  description: Id of the current release; empty if none was pushed.
  type: str
  returned: always
daemons:
  description:
    - Name, pid (0 when it does not run), service (running, stopped, failed, starting), the release it runs, and the status
      that it reports to systemd (empty without systemd).
  type: list
  elements: dict
  returned: always
"""

import glob
import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils.background import start_time

UNITS = "/etc/systemd/system"
_DEPLOYMENT = re.compile(r" \(deployment \w+\)$")  # what stoker.io.notify adds
_SERVICE = {"active": "running", "reloading": "running", "activating": "starting", "failed": "failed"}


def _units(module: AnsibleModule) -> list[dict[str, Any]]:
    paths = sorted(glob.glob(f"{UNITS}/stoker-*.service")) if os.path.isdir("/run/systemd/system") else []
    found = []
    for path in paths:
        unit = os.path.basename(path)
        _, out, _ = module.run_command(["systemctl", "show", "--property", "ActiveState,MainPID,StatusText", unit])
        shown = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
        pid = int(shown.get("MainPID") or 0)
        service = _SERVICE.get(shown.get("ActiveState", ""), "stopped")
        name = unit[len("stoker-") : -len(".service")]
        status = _DEPLOYMENT.sub("", shown.get("StatusText", "")) if pid else ""
        found.append({"name": name, "pid": pid, "service": service, "release": _release(pid), "status": status})
    return found


def _pid_files(folder: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "stoker-*.pid"))):
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
                pid, started = file.read(4096).split()[:2]
            alive = int(pid) if start_time(int(pid)) == started else 0
        except (OSError, ValueError):
            continue
        name = os.path.basename(path)[len("stoker-") : -len(".pid")]
        service = "running" if alive else "failed"  # a stop removes the file
        found.append({"name": name, "pid": alive, "service": service, "release": _release(alive), "status": ""})
    return found


def _release(pid: int) -> str:
    """Return the release of a running daemon; it may be older than the current one."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            found = re.search(rb"/releases/([^/\0]+)/", file.read())
    except OSError:
        return ""
    return found[1].decode(errors="replace") if found else ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "pid_dir": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    current = os.path.join(module.params["prefix"], "current")
    release = os.path.basename(os.readlink(current)) if os.path.islink(current) else ""
    daemons = _units(module)
    known = {daemon["name"] for daemon in daemons}
    daemons += [daemon for daemon in _pid_files(module.params["pid_dir"]) if daemon["name"] not in known]
    module.exit_json(changed=False, release=release, daemons=daemons)


if __name__ == "__main__":
    main()
