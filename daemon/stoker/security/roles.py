"""Roles over HTTP, and the identity of a user. The roles of keys on the ZeroMQ port are ``states.Role``."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class AccessRole(IntEnum):
    """Each role includes the ones before it."""

    NONE = 0  # log in
    VIEWER = 1  # look at everything, output of jobs included
    SUBMITTER = 2  # submit, and kill what was submitted with the same token
    OPERATOR = 3  # kill anything, drain workers
    ADMIN = 4  # kill everything at once, clear the history

    @property
    def label(self) -> str:
        return self.name.lower()


ROLES = tuple(role.label for role in AccessRole if role is not AccessRole.NONE)


class Identity(NamedTuple):
    """``name`` is for people and the audit, ``owner`` marks what was submitted; "" where nobody in particular is meant."""

    name: str
    role: AccessRole
    owner: str = ""

    def may(self, role: AccessRole) -> bool:
        return self.role >= role

    @property
    def kills_as(self) -> str | None:
        """Return the owner whose jobs may be killed; None: all jobs."""
        return None if self.role >= AccessRole.OPERATOR else self.owner
