"""The access rules of one HTTP listener, and what a request reveals about its sender."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flask import g, request

from stoker.core.model.addresses import is_loopback
from stoker.security.roles import AccessRole, Identity
from stoker.security.throttle import Throttle
from stoker.security.tokens import TokenFile
from stoker.web.access.sessions import Sessions

# In the WSGI environment: a function that returns the unix name of a peer of the daemon's own user, or of root; else "".
LOCAL_USER = "stoker.local_user"
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
_BROWSER = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Cookie", "Referer")


@dataclass
class Access:
    """``host``: where it listens; ``known_as``: its further names. ``anonymous`` is the role of a request without a token;
    with ``trust_local_user`` the daemon's own user needs no token. By default everybody may look."""

    host: str = "127.0.0.1"
    anonymous: AccessRole = AccessRole.VIEWER
    trust_local_user: bool = False
    tokens: TokenFile | None = None
    known_as: tuple[str, ...] = ()
    session_timeout: float = 12 * 3600.0  # seconds
    kill_enabled: bool = True
    sessions: Sessions = field(init=False)
    throttle: Throttle = field(default_factory=Throttle)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.session_timeout)

    @property
    def asks_for_tokens(self) -> bool:
        return self.tokens is not None

    def local_user(self) -> Identity | None:
        """Return an admin for the daemon's own user on this machine, who controls the daemon anyway. Not through a proxy,
        which others may use too, and not under a name that others can point here (DNS rebinding)."""
        name = request.environ.get(LOCAL_USER, _nobody)() if self.trust_local_user else ""
        if not name:
            return None
        if any(name in request.headers for name in _FORWARDED) or not self._is_own_name(asked_host()):
            return None
        return Identity(name, AccessRole.ADMIN, principal=name)

    def _is_own_name(self, asked: str) -> bool:
        return is_loopback(asked) or is_address(asked) or asked in {self.host.lower(), *map(str.lower, self.known_as)}


def who() -> Identity:
    """Return who sent the current request."""
    identity: Identity = g.identity
    return identity


def asked_host() -> str:
    """Return the host name in the Host header, in lower case; "" for a malformed one."""
    try:
        return urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return ""


def is_from_browser() -> bool:
    """Return whether another site could have made a browser send this: by the headers that browsers add, or by a body type
    that any page may send anywhere."""
    return request.mimetype in _FORMS or says_it_is_a_browser()


def says_it_is_a_browser() -> bool:
    """Return whether the request has a header that browsers add; every one in use adds one to a POST to another site."""
    return any(name in request.headers for name in _BROWSER)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _nobody() -> str:
    return ""
