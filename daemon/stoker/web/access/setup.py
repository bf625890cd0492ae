"""Make the access rules of a daemon's listeners from its settings."""

from __future__ import annotations

from pathlib import Path

from stoker.config.web import WebConfig
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile
from stoker.web.access.policy import Access


def make_access(
    config: WebConfig, keys_dir: Path, *, host: str | None = None, anonymous: AccessRole | None = None
) -> Access:
    """``host`` and ``anonymous`` are for a listener that differs from the dashboard."""
    return Access(
        host=host or config.host,
        anonymous=config.anonymous if anonymous is None else anonymous,
        trust_local_user=config.trust_local_user,
        tokens=TokenFile(keys_dir),
        known_as=config.known_as,
        session_timeout=config.session_timeout,
        kill_enabled=config.kill_enabled,
    )
