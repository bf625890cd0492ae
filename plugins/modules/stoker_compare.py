#!/usr/bin/python
# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Compare a host with its wanted state, and change nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stoker_compare
short_description: Compare a host with its wanted state, and change nothing
description:
  - Does what M(stoker.spark.stoker_host) and M(stoker.spark.stoker_daemon) do in check mode, with the same code, in one
    command. A host that is RV(unchanged) does not need them.
  - The action plugin evaluates the arguments of both from the tasks of the role C(stoker_common), which must be the role that
    the task belongs to.
options:
  daemons:
    description: Whether files and daemons are compared. Otherwise only what M(stoker.spark.stoker_host) brings.
    type: bool
    default: true
  host:
    description: Arguments of M(stoker.spark.stoker_host); set by the action plugin.
    type: dict
    default: {}
  daemon:
    description: Arguments of M(stoker.spark.stoker_daemon), without secrets; set by the action plugin.
    type: dict
    default: {}
extends_documentation_fragment:
  - stoker.spark.files.secrets
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Compare the host with its wanted state
  stoker.spark.stoker_compare:
    daemons: true
  register: __stoker_common_host
"""

RETURN = r"""
changed:
  description: Never true.
  type: bool
  returned: always
unchanged:
  description: Whether both modules have nothing to do on this host.
  type: bool
  returned: always
differences:
  description: What they would do, or why that could not be determined.
  type: list
  elements: str
  returned: always
public:
  description: Public keys by role, and all else that M(stoker.spark.stoker_host) returns.
  type: dict
  returned: if there are no differences
"""

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.stoker.spark.plugins.module_utils import daemons, files, host_setup
from ansible_collections.stoker.spark.plugins.module_utils.advice import explained


class _Failed(Exception):
    """One of the two modules would fail."""


class Dry:
    """One of the two modules in check mode: what its code uses of an AnsibleModule."""

    check_mode = True

    def __init__(self, module: AnsibleModule, spec: dict[str, Any], arguments: dict[str, Any]) -> None:
        checked = ArgumentSpecValidator(spec).validate(arguments)
        if checked.error_messages:
            raise _Failed("; ".join(checked.error_messages))
        self.params = checked.validated_parameters
        self.run_command = module.run_command

    def fail_json(self, *, msg: str, **_: Any) -> NoReturn:
        raise _Failed(msg)

    def warn(self, _: str) -> None:
        """The module itself warns, if it gets to work."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "daemons": {"type": "bool", "default": True},
            "host": {"type": "dict", "default": {}},
            "daemon": {"type": "dict", "default": {}},
            "secrets": files.SECRETS,
        },
        supports_check_mode=True,
    )
    host_setup.check_python(module)
    facts: dict[str, Any] = {}
    try:
        facts = host_setup.bring(Dry(module, host_setup.SPEC, module.params["host"]))
        differences = facts["changes"] or ([] if facts["settled"] else ["keys"])
        if not differences and module.params["daemons"]:
            differences = _daemons(module)
    except _Failed as failure:
        differences = [str(failure)]
    except OSError as error:
        differences = [explained(error, "the host")]
    known = {} if differences else facts
    module.exit_json(**{**known, "changed": False, "unchanged": not differences, "differences": differences})


def _daemons(module: AnsibleModule) -> list[str]:
    """What `stoker_daemon` would do. Files come first, so that check mode does not try new versions of them."""
    arguments = {**module.params["daemon"], "secrets": module.params["secrets"]}
    dry = Dry(module, daemons.SPEC, arguments)
    if found := files.differing(dry):
        return [file.path for file in found]
    result = daemons.bring(dry)
    return [f"{name}: {what['done']}" for name, what in result["daemons"].items() if what["done"]]


if __name__ == "__main__":
    main()
