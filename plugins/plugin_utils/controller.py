# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Whether the Ansible of the controller can run the playbooks."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible.release import __version__ as ansible_version

try:
    import stoker.config.check  # noqa: F401
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""

CHECKOUT = Path(__file__).resolve().parents[2]
ANSIBLE = (2, 19)  # those before it evaluate variables that a condition excludes


def unfit(version: str = ansible_version) -> str:
    """Return why this Ansible cannot run the playbooks, with the fix; empty if it can."""
    if tuple(map(int, version.split(".")[:2])) < ANSIBLE:
        return (
            f"ansible-core {version} is too old: 2.19 or newer is needed; use .venv/bin/ansible-playbook of a checkout,"
            f" or install it: {sys.executable} -m pip install 'ansible-core>=2.19'"
        )
    if MISSING:
        return (
            f"the Python of this Ansible lacks Stoker ({MISSING}): use .venv/bin/ansible-playbook of a checkout, or"
            f" install it: {sys.executable} -m pip install '{CHECKOUT}'"
        )
    return ""
