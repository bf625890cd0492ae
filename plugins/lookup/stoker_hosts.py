# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""The hosts that a step of bring-up.yml is for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stoker_hosts
short_description: The hosts that a step of bring-up.yml is for
description:
  - Names hosts of the groups C(masters) and C(workers). A comparison (M(stoker.spark.stoker_compare)) costs a round trip and
    spares three tasks on each host on which nothing differs, so it is worth its time where there are many workers.
options:
  _terms:
    description:
      - C(masters) names the masters to ask for their keys, C(workers) the workers to compare, C(rest) all hosts except those
        that were compared and are unchanged. The first two are empty if there are fewer workers than C(stoker_compare_from)
        of the first master, 20 by default, and the second if a master lacks a key or differs. Masters are never left out of
        the third, because what they admit is made of the keys of all hosts.
    required: true
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: Compare workers with their wanted state
  hosts: "{{ query('stoker.spark.stoker_hosts', 'workers') }}"
"""

RETURN = r"""
_list:
  description: Names of hosts.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

ENOUGH = 20  # workers
Variables = Callable[[str], Mapping[str, Any]]  # of a host, by its name


def masters_to_ask(masters: list[str], workers: list[str], variables: Variables) -> list[str]:
    """All of them, or none where there are few workers."""
    if not masters:
        return []
    enough = int(variables(masters[0]).get("stoker_compare_from", ENOUGH))
    return masters if len(workers) >= enough else []


def workers_to_compare(masters: list[str], workers: list[str], variables: Variables) -> list[str]:
    """All that are not masters. None if a master that was asked differs itself: its keys, which workers trust, may change."""
    asked = [found for found in map(variables, masters) if "unchanged" in found.get("__stoker_common_host", {})]
    if not asked or not all(found["__stoker_common_host"].get("public", {}).get("master") for found in asked):
        return []
    return [name for name in workers if name not in masters]


def rest(masters: list[str], workers: list[str], variables: Variables) -> list[str]:
    """All hosts, without workers that were compared and found unchanged."""
    return masters + [
        name
        for name in workers
        if name not in masters and variables(name).get("__stoker_common_host", {}).get("unchanged") is not True
    ]


STEPS = {"masters": masters_to_ask, "workers": workers_to_compare, "rest": rest}


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[str]:
        if len(terms) != 1 or terms[0] not in STEPS:
            raise AnsibleLookupError(f"stoker_hosts needs one of {', '.join(STEPS)}")
        groups = (variables or {}).get("groups", {})
        hostvars = (variables or {}).get("hostvars")  # missing with --list-hosts and --syntax-check
        masters, workers = list(groups.get("masters", [])), list(groups.get("workers", []))
        return STEPS[terms[0]](masters, workers, hostvars.raw_get if hostvars is not None else lambda _: {})
