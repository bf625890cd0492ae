"""Who asks: the principal, a name that the asker has proved, and the orders it gives (ADR 22).

The shell determines the principal; a message cannot claim one. ``user`` in a description is a label and carries no rights.
"""

from __future__ import annotations

from typing import NamedTuple

from stoker.core.model.values import Door, Order

GATEWAY = "gateway"  # the principal of Spark clients that prove ``spark.authenticate.secret``, which has no name
CLIENT_DOORS: frozenset[Door] = frozenset({"cli", "python", "playbook"})  # between these, the client says which


class Asker(NamedTuple):
    """Who sent a message. ``principal`` "": nobody in particular. ``is_admin``: it may change everybody's jobs."""

    principal: str
    is_admin: bool
    door: Door = ""
    pool: str = ""  # of what it submits, if that names none

    def may_change(self, principal: str | None) -> bool:
        """Return whether it may change a job of that principal. A job without one belongs to admins."""
        return self.is_admin or (bool(self.principal) and self.principal == principal)

    def order(self, at: float) -> Order:
        return Order(by=self.principal, door=self.door, at=at)


def shown(principal: str, user: str) -> str:
    """Return who asked, for people: the principal, and beside it the label ``user`` if it differs."""
    if not principal or not user or principal == user:
        return principal or user
    return f"{principal} (as {user})"


def belongs_to(principal: str | None) -> str:
    """Return why somebody else may not change a job, as the end of a sentence that begins with its id."""
    if principal:
        return f"belongs to {principal}: only {principal} and admins may change it (an admin: stoker kill --admin)"
    return "belongs to nobody in particular: only admins may change it (stoker kill --admin)"
