# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Addresses of hosts, and the keys that they trust."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stoker_trust
short_description: Addresses of hosts, and the keys that they trust
description:
  - Returns the content of the files C(authorized) and C(known_masters) of a host's keys folder, and the parts of it.
options:
  _terms:
    description:
      - What to return, and its arguments. One of C(addresses), C(peers), C(master_keys), C(expected), C(authorized) and
        C(known_masters).
    required: true
author:
  - Stoker contributors
"""

EXAMPLES = r"""
- name: How other hosts reach the masters
  ansible.builtin.debug:
    msg: "{{ lookup('stoker.spark.stoker_trust', 'addresses', groups['masters'], [{}]) }}"
"""

RETURN = r"""
_raw:
  description: The answer.
  type: raw
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

HEADER = "# Managed by Ansible: a host has a line as long as the inventory has the host.\n"


def authorized(
    existing: str,
    peers: dict[str, dict[str, str]],
    inventory: list[str],
    extra: list[str] | None = None,
    staged: dict[str, dict[str, str]] | None = None,
) -> str:
    """The file for masters. ``peers`` are the public keys, by name and role, that this run has seen; a host of the
    inventory that it has not seen keeps its lines, and so do controllers and people (`stoker keys invite`); all others go.
    ``staged`` are more keys of the same hosts."""
    lines = {
        (name, role, key) for some in (peers, staged or {}) for name, keys in some.items() for role, key in keys.items()
    }
    people = []
    for line in existing.splitlines():
        words = line.split()
        if len(words) == 4 and words[0] in ("client", "admin"):
            people.append(line)
        if len(words) == 3 and not line.startswith("#"):
            role, key, name = words
            if name not in peers and (name in inventory or name.startswith("controller:")):
                lines.add((name, role, key))
    for line in extra or []:
        if len(line.split()) != 3:
            raise AnsibleLookupError(f"stoker_common_authorized: {line!r} is not `ROLE PUBLIC-KEY NAME`")
    found = [f"{role} {key} {name}" for name, role, key in sorted(lines)]
    return HEADER + "".join(f"{line}\n" for line in [*found, *people, *(extra or [])])


def known_masters(existing: str, seen: dict[str, list[str]], masters: list[str]) -> str:
    """The file for workers and clients. ``seen`` are the keys by HOST:PORT that this run knows, ``masters`` all HOST:PORT
    of the inventory; the others keep what is known of them."""
    known: dict[str, list[str]] = {}
    for line in existing.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in masters and words[0] not in seen:
            known.setdefault(words[0], []).append(words[1])
    known.update(seen)
    return HEADER + "".join(f"{address} {key}\n" for address in masters for key in known.get(address, []))


def peers(hostvars: Any, hosts: list[str], which: str = "public") -> dict[str, dict[str, str]]:
    """Public keys by host and role, of those hosts that this run has prepared; ``which``: "public" or "staged"."""
    seen = {host: hostvars[host].get("__stoker_common_host", {}).get(which, {}) for host in hosts}
    return {host: dict(public) for host, public in seen.items() if public}


def addresses(hostvars: Any, hosts: list[str], envs: list[dict[str, Any]]) -> list[str]:
    """How other hosts reach these: stoker_address, else what SPARK_MASTER_HOST says there (``envs`` are their spark_env),
    else ansible_host, else their names in the inventory."""
    return [_address(hostvars[host], env, host) for host, env in zip(hosts, envs, strict=True)]


def master_keys(hostvars: Any, hosts: list[str], addresses: list[str], port: int) -> dict[str, list[str]]:
    """Public keys of masters by HOST:PORT, of those that this run has prepared: the one in use, and a staged one."""
    found: dict[str, list[str]] = {}
    for which in ("public", "staged"):
        keys = peers(hostvars, hosts, which)
        for host, address in zip(hosts, addresses, strict=True):
            if "master" in keys.get(host, {}):
                found.setdefault(f"{address}:{port}", []).append(keys[host]["master"])
    return found


def expected(hostvars: Any, hosts: list[str], envs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The workers that belong to the cluster, for stoker_info."""
    return [
        {
            "name": host,
            "host": _address(hostvars[host], {}, host),
            "workers": int(env.get("SPARK_WORKER_INSTANCES") or 1),
        }
        for host, env in zip(hosts, envs, strict=True)
    ]


def _address(facts: Any, env: dict[str, Any], host: str) -> str:
    chosen = facts.get("stoker_address") or env.get("SPARK_MASTER_HOST") or env.get("SPARK_MASTER_IP")
    return str(chosen or facts.get("ansible_host") or host)


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        what, *arguments = terms
        hostvars = (variables or {}).get("hostvars", {})
        if what == "authorized":
            return [authorized(*arguments)]
        if what == "known_masters":
            text = known_masters(*arguments)
            # In check mode nothing has made the keys that would be there.
            if text == HEADER and arguments[2] and not (variables or {}).get("ansible_check_mode"):
                raise AnsibleLookupError(
                    f"this host knows the key of no master ({', '.join(arguments[2])}) and this run has not seen one:"
                    " include the masters, as in --limit HOST,masters"
                )
            return [text]
        answers: dict[str, Callable[..., Any]] = {
            "addresses": addresses,
            "peers": peers,
            "master_keys": master_keys,
            "expected": expected,
        }
        return [answers[what](hostvars, *arguments)]
