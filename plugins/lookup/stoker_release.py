# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Which release this checkout is, by its content."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stoker_release
short_description: Which release this checkout is, by its content
description:
  - Gives the id of the release that would be built from this checkout, version and digest. It changes with every change of
    the program, or of the packages that it needs.
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Show the release
  ansible.builtin.debug:
    msg: "{{ lookup('stoker.spark.stoker_release') }}"
"""

RETURN = r"""
_raw:
  description: The id.
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.stoker.spark.plugins.plugin_utils.release import RELEASE


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        return [RELEASE]
