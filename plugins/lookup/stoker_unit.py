# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The unit file of a kind of daemon, from its template."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stoker_unit
short_description: The unit file of a kind of daemon, from its template
description:
  - Evaluates a template file. In contrast to P(ansible.builtin.template#lookup) it does not copy all variables of the host
    first, which takes longer than all the rest.
options:
  _terms:
    description: The template's path. One.
    required: true
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Show a worker's unit file
  ansible.builtin.debug:
    msg: "{{ lookup('stoker.spark.stoker_unit', role_path ~ '/templates/unit.j2') }}"
"""

RETURN = r"""
_raw:
  description: The text.
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        text = Path(terms[0]).read_text()
        return [self._templar.template(trust_as_template(text))]
