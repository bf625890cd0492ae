#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Bring the Stoker daemons of a host and their settings to the wanted state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_daemon
short_description: Bring the Stoker daemons of a host and their settings to the wanted state
description:
  - Runs daemons as systemd units if systemd runs and their kinds have units. Otherwise runs each in the background, in its
    own session, with a pid file and a log.
  - Started means ready. The module starts all daemons at once, waits until each reports that it is ready (the sd_notify
    protocol), and fails with the last lines of a daemon's log if it exits or is not ready in time.
  - Writes their configuration first, in the same task, because a task costs a round trip.
extends_documentation_fragment:
  - stoker.spark.files
  - stoker.spark.files.secrets
options:
  daemons:
    description: The daemons.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the daemon, which begins with its kind. Its pid file, log and unit are C(stoker-NAME).
        type: str
        required: true
      command:
        description: Program and arguments.
        type: list
        elements: str
        default: []
  kinds:
    description:
      - The kinds of daemons that O(daemons) is complete for. A daemon of these kinds that runs on the host and is not in
        O(daemons) is stopped, and does not start again.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the names of all daemons of this kind begin with.
        type: str
        required: true
      stop_signal:
        description: Signal that stops such a daemon when systemd does not run it. A restart sends TERM.
        type: str
        default: TERM
      unit:
        description:
          - Text of the systemd unit of such a daemon, with placeholders C(@name@), C(@command@) and C(@deployment@). Empty if
            systemd is not to run it.
        type: str
        default: ""
  hold:
    description:
      - Kinds of daemons that are not restarted, although they run with other settings. They are named in RV(held), to be
        restarted one host after the other. Without effect in check mode.
    type: list
    elements: str
    default: []
  program:
    description:
      - Path of the C(stoker) program that this checkout starts daemons with. If a daemon of O(kinds) was started in the
        background by the program of another checkout, the module fails and changes nothing. Empty for no such check.
    type: path
    default: ""
  state:
    description: Wanted state. With V(restarted), a daemon that does not run is started.
    type: str
    choices: [started, stopped, restarted]
    default: started
  deployments:
    description:
      - By kind of daemon, a fingerprint of the settings that it reads at its start. A daemon that was started with another
        one is restarted.
    type: dict
    default: {}
  environment:
    description: Variables added to the environment of a daemon that systemd does not run.
    type: dict
    default: {}
  user:
    description: User that a daemon runs as if systemd does not run it. Empty for the connecting user.
    type: str
    default: ""
  pid_dir:
    description: Folder of the pid file.
    type: path
    required: true
  log_dir:
    description: Folder of the log.
    type: path
    required: true
  log_max_files:
    description: Logs of earlier starts to keep.
    type: int
    default: 5
  niceness:
    description: Scheduling priority.
    type: int
    default: 0
  timeout:
    description: >-
      Seconds to wait until the daemons are ready, or until each has exited. A daemon that does not exit in time is killed.
    type: int
    default: 30
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Start a master
  stoker.spark.stoker_daemon:
    kinds:
      - name: master
    daemons:
      - name: master
        command: [stoker, master, --host, localhost]
    pid_dir: /run/user/1000
    log_dir: /tmp/logs
"""

RETURN = r"""
daemons:
  description: By name, the process id (0 when it does not run) and what was done (empty when nothing).
  type: dict
  returned: always
held:
  description: Daemons that were not restarted because of O(hold).
  type: list
  elements: str
  returned: always
changed_files:
  description: Paths of the files that were (or would be) written.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils.advice import explained
from ansible_collections.stoker.spark.plugins.module_utils.daemons import SPEC, bring
from ansible_collections.stoker.spark.plugins.module_utils.lock import locked


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        with locked(module, module.params["pid_dir"], timeout=module.params["timeout"] + 90.0):
            result = bring(module)
    except OSError as error:
        module.fail_json(msg=explained(error, module.params["pid_dir"]))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
