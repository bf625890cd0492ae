"""What every request passes before a page sees it: its host name, who sends it, what that one may, and no forgery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar
from urllib.parse import quote

from flask import Flask, g, redirect, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, TooManyRequests, Unauthorized
from werkzeug.wrappers import Response as BaseResponse

from stoker.security.roles import AccessRole, Identity
from stoker.security.tokens import Token
from stoker.web.access.audit import audit
from stoker.web.access.policy import Access, asked_host, is_from_browser, is_loopback

View = TypeVar("View", bound=Callable[..., object])
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MACHINES = ("/json", "/api/", "/metrics")  # answered with a status, not with the log-in page


def needs(role: AccessRole) -> Callable[[View], View]:
    """Marks a view with what its caller must be. Without it: a viewer to look, an admin to change anything."""

    def mark(view: View) -> View:
        view.needs = role  # type: ignore[attr-defined]
        return view

    return mark


class ForgeryCheck(Protocol):
    def check(self) -> None:
        """Raises Forbidden for a request that a page of somebody else may have made the browser send."""
        ...


def guard(app: Flask, access: Access, csrf: ForgeryCheck, *, has_login: bool = True) -> None:
    """Installs the checks; views find the sender by ``policy.who``. ``has_login``: there is a page to log in at."""

    @app.before_request
    def check() -> BaseResponse | None:
        g.identity = Identity("anonymous", access.anonymous)
        if is_loopback(access.host) and not is_loopback(asked_host()):
            raise BadRequest(f"This dashboard is for {access.host} only: open it by that name.")
        g.identity, is_shown = _identify(access)
        view = app.view_functions.get(request.endpoint or "")
        is_harmless = request.method in SAFE or request.routing_exception is not None
        default = AccessRole.VIEWER if is_harmless else AccessRole.ADMIN
        wanted: AccessRole = getattr(view, "needs", default)
        if not g.identity.may(wanted):
            return _turn_away(wanted, has_login=has_login)
        if request.method not in SAFE and not is_shown and is_from_browser():
            csrf.check()
        return None

    def still_allowed() -> Callable[[], bool]:
        """For answers that go on and on: may who asked for this one still look? To be asked from other threads."""
        token: Token | None = g.get("token")
        return lambda: token is None or access.tokens is None or access.tokens.is_known(token)

    app.extensions["still_allowed"] = still_allowed

    @app.context_processor
    def identity() -> dict[str, object]:
        return {"who": g.get("identity"), "has_login": access.asks_for_tokens}


def _identify(access: Access) -> tuple[Identity, bool]:
    """Who sends the request, and whether it shows so itself (a browser sends cookies whoever made it ask). Raises
    Unauthorized for a token that is none: a script with a revoked one must not go on unnoticed as somebody else."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = check_secret(access, secret.strip())
        if token is None:
            raise Unauthorized("That token is unknown, revoked or over.", www_authenticate=_CHALLENGE)
        g.token = token
        return token.identity, True
    session = session_token(access)
    if session is not None:
        g.token = session
        return session.identity, False
    return access.local_user() or Identity("anonymous", access.anonymous), False


def check_secret(access: Access, secret: str) -> Token | None:
    """Raises TooManyRequests when this address has shown too many that were none."""
    address = request.remote_addr or ""
    wait = access.throttle.wait(address)
    if wait > 0:
        raise TooManyRequests("Too many tokens that were none: try again later.", retry_after=int(wait) + 1)
    token = access.tokens.identify(secret) if access.tokens is not None else None
    if token is None:
        access.throttle.failed(address)
        audit("token", "-", "refused")
    else:
        access.throttle.succeeded(address)
    return token


def session_token(access: Access) -> Token | None:
    """Of the browser's session, as long as its token is good."""
    secret = request.cookies.get(session_cookie(), "")
    token = access.sessions.find(secret) if secret else None
    if token is None or access.tokens is None or not access.tokens.is_known(token):
        return None
    return token


def session_cookie() -> str:
    """Cookies do not know ports: the dashboards of one host must not overwrite each other's."""
    _, _, port = request.host.rpartition(":")
    return f"stoker_session_{port}" if port.isdigit() else "stoker_session"


def _turn_away(wanted: AccessRole, *, has_login: bool) -> BaseResponse:
    """Raises Unauthorized or Forbidden; a browser that may yet log in is led there."""
    identity: Identity = g.identity
    if request.method not in SAFE:
        audit(f"{request.method} {request.path}", "-", "refused")
    if identity.owner:
        raise Forbidden(f"{identity.name} is a {identity.role.label}: this takes a {wanted.label}.")
    if has_login and request.method in SAFE and not request.path.startswith(MACHINES):
        asked = request.full_path.rstrip("?")
        return redirect(f"/login?next={quote(asked, safe='/')}", 303)
    raise Unauthorized(
        f"This takes the token of a {wanted.label}: send it as 'Authorization: Bearer TOKEN', or log in with a browser;"
        " 'stoker token create' makes one.",
        www_authenticate=_CHALLENGE,
    )


_CHALLENGE = WWWAuthenticate("bearer", {"realm": "stoker"})
