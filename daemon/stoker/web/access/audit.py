"""Log one line for every change requested over HTTP, and who requested it (docs/security.md)."""

from __future__ import annotations

import logging
from urllib.parse import quote

from flask import request

from stoker.web.access.policy import who

LOG = logging.getLogger("stoker.audit")
_PLAIN = "/:@._-+,"
_WIDEST = 200  # characters of a value


def audit(action: str, target: str, result: str = "done") -> None:
    """Log ``action``. Values are percent-encoded where they are not plain, so that no value can forge a line."""
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
