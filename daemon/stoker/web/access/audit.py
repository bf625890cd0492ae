"""Record every change requested over HTTP, and who requested it, in the audit trail (docs/security.md)."""

from __future__ import annotations

from flask import request

from stoker.security import audit as trail
from stoker.security.roles import Identity
from stoker.web.access.policy import who


def audit(action: str, target: str, result: str = "done", *, identity: Identity | None = None) -> None:
    """``identity``: who sent the request, where that is not known from the request itself."""
    identity = identity or who()
    trail.audit(
        action,
        target,
        result,
        who=identity.name,
        role=identity.role.label,
        door="http",
        address=request.remote_addr or "",
    )
