"""Roles over HTTP, and the identity of a user. The roles of keys on the ZeroMQ port are ``states.Role``."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from stoker.core.model.principal import Asker
from stoker.core.model.values import Door


class AccessRole(IntEnum):
    """Each role includes the ones before it."""

    NONE = 0  # log in
    VIEWER = 1  # look at everything, output of jobs included
    SUBMITTER = 2  # submit, and kill what the same principal submitted
    OPERATOR = 3  # kill anything, drain workers
    ADMIN = 4  # kill everything at once, clear the history

    @property
    def label(self) -> str:
        return self.name.lower()


ROLES = tuple(role.label for role in AccessRole if role is not AccessRole.NONE)


class Identity(NamedTuple):
    """Who sends a request. ``name`` is for people and the audit; ``principal`` is the name that the sender has proved, "" for
    nobody in particular."""

    name: str
    role: AccessRole
    principal: str = ""

    def may(self, role: AccessRole) -> bool:
        return self.role >= role

    def asker(self, door: Door) -> Asker:
        """Return the sender as the master's core knows it. An operator may change everybody's jobs."""
        return Asker(self.principal, self.role >= AccessRole.OPERATOR, door)
