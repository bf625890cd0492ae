#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Bring a release of Stoker, its user, its folders and its keys to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_host
short_description: Bring a release of Stoker, its user, its folders and its keys to a host
description:
  - Builds one self-contained release for the host's Python and machine on the controller, if it is not built yet, and
    unpacks it below C(PREFIX/releases). The host needs nothing but Python 3.10 or newer.
  - The new release is tried before C(PREFIX/current) is switched to it, which is atomic. Running daemons go on with the
    release they were started from. Old releases that are not in use are removed.
  - Keys are made on the host; private keys never leave it.
options:
  prefix:
    description: Where releases are.
    type: path
    required: true
  release:
    description:
      - Id of the release to switch to. V(auto) is that of this checkout, built if needed; any other one must be on the host.
    type: str
    default: auto
  archive:
    description: The release as a tarball on the host; set by the action plugin.
    type: path
  archive_sha256:
    description: SHA-256 that the tarball must have, in hex; set by the action plugin. A tarball that differs is not unpacked.
    type: str
    default: ""
  keep:
    description: Releases to keep besides the current one.
    type: int
    default: 2
  user:
    description: System user that daemons and jobs run as; created if missing. Empty for the connecting user.
    type: str
    default: ""
  conf_dir:
    description: Where configuration and keys are.
    type: path
    required: true
  state_dir:
    description: Where daemons keep their state.
    type: path
    required: true
  link:
    description: Where a symbolic link to the program goes. Empty for none.
    type: path
  keys:
    description: Roles whose keys this host needs.
    type: list
    elements: str
    choices: [master, worker, client, admin]
    default: []
  rotation:
    description:
      - A step of a key rotation. V(stage) makes new keys beside the present ones, V(switch) replaces the present ones;
        daemons use them from their next start.
    type: str
    choices: [none, stage, switch]
    default: none
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Prepare a worker's host
  stoker.spark.stoker_host:
    prefix: /opt/stoker
    conf_dir: /etc/stoker
    state_dir: /var/lib/stoker
    user: stoker
    keys: [worker]
"""

RETURN = r"""
release:
  description: Id of the current release.
  type: str
  returned: always
previous:
  description: Id of the release that was current before.
  type: str
  returned: always
public:
  description: Public keys by role. Empty in check mode if they would be made.
  type: dict
  returned: always
staged:
  description: Public keys by role that a key rotation has staged.
  type: dict
  returned: always
authorized:
  description: The file of that name in the keys folder, with public keys only.
  type: str
  returned: always
known_masters:
  description: The file of that name in the keys folder.
  type: str
  returned: always
settled:
  description: Whether there is nothing to do on this host, also nothing that would not be reported as a change.
  type: bool
  returned: always
python:
  description: Version of the host's Python.
  type: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stoker.spark.plugins.module_utils.advice import explained
from ansible_collections.stoker.spark.plugins.module_utils.host_setup import SPEC, bring, check_python
from ansible_collections.stoker.spark.plugins.module_utils.lock import locked


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    check_python(module)
    try:
        with locked(module, module.params["prefix"]):
            result = bring(module)
    except OSError as error:
        module.fail_json(msg=explained(error, module.params["prefix"]))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
