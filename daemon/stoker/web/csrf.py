"""Protection against forged forms: a form counts only when it comes from one of the dashboard's own pages.

Double submit: a random cookie and the same value in the form (scripts: in the header X-CSRF-Token), signed with a key of
this process. Also the origin that the browser reports, if it reports one.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from flask import Response, request
from werkzeug.exceptions import Forbidden

_FOR_PEOPLE = "This form is from another site, or from before the dashboard was restarted: reload the page."
_FOR_PROGRAMS = (
    "Send the body as Content-Type: application/json; a script of a page sends the page's token as X-CSRF-Token."
)


class Csrf:
    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self.PLACE = secrets.token_hex(
            32
        )  # placeholder in pages that are made for all visitors; ``give`` replaces it with the visitor's token

    def token(self) -> str:
        """Return the visitor's token, or a new one."""
        token = request.cookies.get(_cookie(), "")
        return token if self._is_ours(token) else self._seal(secrets.token_hex(16))

    def give(self, response: Response, token: str) -> Response:
        if response.status_code == 200:
            response.set_data(response.get_data().replace(self.PLACE.encode(), token.encode()))
        if request.cookies.get(_cookie(), "") != token:
            response.set_cookie(_cookie(), token, httponly=True, samesite="Strict", secure=request.is_secure)
        return response

    def check(self) -> None:
        """Raise Forbidden for a form that does not come from one of the dashboard's own pages."""
        cookie = request.cookies.get(_cookie(), "")
        token = request.headers.get("X-CSRF-Token") or request.form.get("csrfToken", "")
        same = hmac.compare_digest(token.encode(), cookie.encode())
        if _is_foreign() or not same or not self._is_ours(token):
            raise Forbidden(_FOR_PROGRAMS if request.path.startswith("/api/") else _FOR_PEOPLE)

    def _seal(self, value: str) -> str:
        return f"{value}.{hmac.new(self._key, value.encode(), 'sha256').hexdigest()}"

    def _is_ours(self, token: str) -> bool:
        value, _, _ = token.partition(".")
        return hmac.compare_digest(self._seal(value).encode(), token.encode())


def cookie_name(name: str) -> str:
    """Return the name with the port in it, because cookies are shared by all ports of a host; under TLS with ``__Host-``, so
    that no other host and no page without TLS can set it."""
    _, _, port = request.host.rpartition(":")
    prefix = "__Host-" if request.is_secure else ""
    return f"{prefix}{name}_{port}" if port.isdigit() else f"{prefix}{name}"


def _cookie() -> str:
    return cookie_name("stoker_csrf")


def _is_foreign() -> bool:
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != request.host
    except ValueError:
        return True
