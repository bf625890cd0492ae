# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Why this Ansible cannot run the playbooks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stoker_controller
short_description: Why this Ansible cannot run the playbooks
description:
  - Looks whether ansible-core is new enough, and whether its Python has the C(stoker) package. Gives one line that names what
    is missing and how to install it, or nothing.
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Check that this Ansible can run the playbooks
  ansible.builtin.assert:
    that: query('stoker.spark.stoker_controller') | length == 0
    fail_msg: "{{ query('stoker.spark.stoker_controller') | join }}"
  run_once: true
"""

RETURN = r"""
_raw:
  description: The line; an empty list when nothing is missing.
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.stoker.spark.plugins.plugin_utils.controller import unfit


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        reason = unfit()
        return [reason] if reason else []
