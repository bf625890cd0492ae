# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Merge a dictionary that the inventory sets for the cluster, for groups and for hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stoker_layers
short_description: Merge a dictionary that the inventory sets for the cluster, for groups and for hosts
description:
  - Ansible lets the dictionary of a host replace that of its groups as a whole. This lookup merges them, setting by
    setting - group C(all) first, then the host's other groups (parents before children, then by
    C(ansible_group_priority), then by name), then the host.
  - Values that do not come from the inventory (C(-e), C(vars) of a play) are strongest.
  - A setting whose value is null is removed.
  - It does not matter whether a layer is written in the inventory file, in C(group_vars) or in C(host_vars).
options:
  _terms:
    description: The variable's name. One.
    required: true
  hosts:
    description: Names of the hosts. By default the current one.
    type: list
    elements: str
  under:
    description: The weakest layer.
    type: dict
    default: {}
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: The environment of this host's daemons
  ansible.builtin.debug:
    msg: "{{ lookup('stoker.spark.stoker_layers', 'spark_env') }}"

- name: The environment of all workers
  ansible.builtin.debug:
    msg: "{{ query('stoker.spark.stoker_layers', 'spark_env', hosts=groups['workers']) }}"
"""

RETURN = r"""
_list:
  description: A merged dictionary for each host, in the order of O(hosts).
  type: list
  elements: dict
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.inventory.group import Group
from ansible.inventory.helpers import sort_groups
from ansible.inventory.host import Host
from ansible.plugins.lookup import LookupBase
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        hostvars = variables.get("hostvars") if variables else None
        if len(terms) != 1 or variables is None or not isinstance(hostvars, HostVars):
            raise AnsibleLookupError(
                "stoker_layers needs the name of one variable, in a play; name other hosts by hosts=, not by hostvars"
            )
        hosts = self.get_option("hosts")
        if hosts is None:
            return [
                _merged(terms[0], str(variables["inventory_hostname"]), hostvars, variables, self.get_option("under"))
            ]
        return [_merged(terms[0], name, hostvars, under=self.get_option("under")) for name in hosts]


def _merged(
    variable: str,
    name: str,
    hostvars: HostVars,
    variables: Mapping[str, Any] | None = None,
    under: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``variables`` are the host's, if there are more than the inventory's."""
    host = hostvars._inventory.get_host(name)
    if host is None:
        raise AnsibleLookupError(f"stoker_layers: the inventory has no host {name}")
    variables = {**hostvars.raw_get(name), "hostvars": hostvars} if variables is None else variables
    layers = [(where, found[variable]) for where, found in _layers(host, hostvars) if variable in found]
    # Ansible's own choice is one of the layers, unless it comes from outside the inventory.
    outside = variables.get(variable)
    if outside not in [value for _, value in layers]:
        layers.append(("from outside the inventory", outside))
    templar = Templar(loader=hostvars._loader, variables=variables)
    result = dict(under or {})
    for where, raw in layers:
        try:
            layer = templar.template(raw)
        except AnsibleError as error:
            raise AnsibleLookupError(f"{variable} {where}: {error.message}") from error
        if layer is not None and not isinstance(layer, Mapping):
            raise AnsibleLookupError(f"{variable} {where} must be a dictionary (NAME: value), not {layer!r}")
        result |= layer or {}
    return {setting: value for setting, value in result.items() if value is not None}


def _layers(host: Host, hostvars: HostVars) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the inventory says for each of the host's groups and for the host, the weakest first."""
    groups = sort_groups(host.get_groups())  # by depth: ``all`` comes first
    for entity in (*groups, host):
        where = f"of group {entity.name}" if isinstance(entity, Group) else f"of host {entity.name}"
        yield where, entity.get_vars()
        sources = hostvars._inventory._sources
        yield where, get_vars_from_inventory_sources(hostvars._loader, sources, [entity], "task")
        yield where, get_vars_from_path(hostvars._loader, hostvars._loader.get_basedir(), [entity], "task")
