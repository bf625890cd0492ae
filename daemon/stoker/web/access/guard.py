"""The checks every request passes before a view runs: host name, identity, role, and forgery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar
from urllib.parse import quote

from flask import Flask, g, redirect, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, TooManyRequests, Unauthorized, UnsupportedMediaType
from werkzeug.wrappers import Response as BaseResponse

from stoker.core.model.addresses import is_loopback
from stoker.security.roles import AccessRole, Identity
from stoker.security.tokens import Token
from stoker.web.access.audit import audit
from stoker.web.access.policy import Access, asked_host, is_from_browser, says_it_is_a_browser
from stoker.web.csrf import cookie_name

View = TypeVar("View", bound=Callable[..., object])
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_NO_FORMS = "Send the body as JSON, with the header Content-Type: application/json: forms are for pages."
MACHINES = ("/json", "/api/", "/metrics")  # paths for programs: they get a status, not the log-in page


def needs(role: AccessRole) -> Callable[[View], View]:
    """Mark a view with the role it requires. Without a mark, reading requires a viewer and changing an admin."""

    def mark(view: View) -> View:
        view.needs = role  # type: ignore[attr-defined]
        return view

    return mark


class ForgeryCheck(Protocol):
    def check(self) -> None:
        """Raise Forbidden for a request that another site may have made the browser send."""
        ...


def guard(app: Flask, access: Access, csrf: ForgeryCheck, *, has_login: bool = True) -> None:
    """Install the checks; views get the sender from ``policy.who``. ``has_login``: the listener has a log-in page."""

    @app.before_request
    def check() -> BaseResponse | None:
        g.identity = Identity("anonymous", access.anonymous)
        if is_loopback(access.host) and not is_loopback(asked_host()):
            raise BadRequest(f"This dashboard serves {access.host} only: open it under that name.")
        g.identity, is_shown = _identify(access)
        view = app.view_functions.get(request.endpoint or "")
        is_harmless = request.method in SAFE or request.routing_exception is not None
        default = AccessRole.VIEWER if is_harmless else AccessRole.ADMIN
        wanted: AccessRole = getattr(view, "needs", default)
        if not g.identity.may(wanted):
            return _turn_away(wanted, has_login=has_login)
        if request.method not in SAFE and not is_shown and is_from_browser():
            if request.path.startswith("/api/") and not says_it_is_a_browser():
                raise UnsupportedMediaType(_NO_FORMS)
            csrf.check()
        return None

    def still_allowed() -> Callable[[], bool]:
        """Return a check for answers that stay open: whether the sender may still read. Callable from other threads."""
        token: Token | None = g.get("token")
        return lambda: token is None or access.tokens is None or access.tokens.is_known(token)

    app.extensions["still_allowed"] = still_allowed

    @app.context_processor
    def identity() -> dict[str, object]:
        return {
            "who": g.get("identity"),
            "has_login": access.asks_for_tokens,
            "has_session": "token" in g,
            "session_ended": g.get("session_ended", False),
        }


def _identify(access: Access) -> tuple[Identity, bool]:
    """Return who sends the request, and whether the request itself proves it (a browser sends cookies with any request, also
    one that another site caused). Raises Unauthorized for an invalid token: a script with a revoked one must not go on as
    somebody else."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = check_secret(access, secret.strip())
        if token is None:
            raise Unauthorized("That token is unknown, revoked or expired.", www_authenticate=_CHALLENGE)
        g.token = token
        return token.identity, True
    session = session_token(access)
    if session is not None:
        g.token = session
        return session.identity, False
    g.session_ended = session_cookie() in request.cookies
    return access.local_user() or Identity("anonymous", access.anonymous), False


def check_secret(access: Access, secret: str) -> Token | None:
    """Return the token of that secret, or None. Raises TooManyRequests for an invalid one after too many from this address.
    Valid ones are accepted meanwhile: others share the address, and nobody finds one of 256 random bits by trying."""
    token = access.tokens.identify(secret) if access.tokens is not None else None
    if token is not None:
        return token
    address = request.remote_addr or ""
    wait = access.throttle.wait(address)
    if wait > 0:
        raise TooManyRequests("Too many invalid tokens: try again later.", retry_after=int(wait) + 1)
    access.throttle.failed(address)
    audit("token", "-", "refused")
    return None


def session_token(access: Access) -> Token | None:
    """Return the token of the browser's session while it is valid."""
    secret = request.cookies.get(session_cookie(), "")
    token = access.sessions.find(secret, request.remote_addr or "") if secret else None
    if token is None or access.tokens is None or not access.tokens.is_known(token):
        return None
    return token


def session_cookie() -> str:
    return cookie_name("stoker_session")


def _turn_away(wanted: AccessRole, *, has_login: bool) -> BaseResponse:
    """Redirect a browser that may log in to the log-in page. Raises Unauthorized or Forbidden for everyone else."""
    identity: Identity = g.identity
    if request.method not in SAFE:
        audit(f"{request.method} {request.path}", "-", "refused")
    if identity.principal:
        raise Forbidden(f"{identity.name} is a {identity.role.label}: this requires a {wanted.label}.")
    if has_login and request.method in SAFE and not request.path.startswith(MACHINES):
        asked = request.full_path.rstrip("?")
        return redirect(f"/login?next={quote(asked, safe='/')}", 303)
    raise Unauthorized(
        f"This requires the token of a {wanted.label}: send it as 'Authorization: Bearer TOKEN', or log in with a browser;"
        " 'stoker token create' makes one.",
        www_authenticate=_CHALLENGE,
    )


_CHALLENGE = WWWAuthenticate("bearer", {"realm": "stoker"})
