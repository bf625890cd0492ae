"""One line in the daemon's log for every change that was asked for over HTTP, with who asked (docs/security.md)."""

from __future__ import annotations

import logging
from urllib.parse import quote

from flask import request

from stoker.web.access.policy import who

LOG = logging.getLogger("stoker.audit")
_PLAIN = "/:@._-+,"
_WIDEST = 200  # characters of a value


def audit(action: str, target: str, result: str = "done") -> None:
    """Values are percent-encoded where they are not plain, so that nobody can write a line of his own into the log."""
    identity = who()
    values = {
        "action": action,
        "target": target,
        "who": identity.name,
        "role": identity.role.label,
        "from": request.remote_addr or "-",
        "result": result,
    }
    LOG.info(" ".join(f"{name}={quote(value[:_WIDEST], _PLAIN) or '-'}" for name, value in values.items()))
