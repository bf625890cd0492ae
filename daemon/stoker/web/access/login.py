"""The log-in page: it exchanges a token for a browser session."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, g, make_response, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as BaseResponse

from stoker.security.roles import AccessRole
from stoker.web.access.audit import audit
from stoker.web.access.guard import check_secret, needs, session_cookie
from stoker.web.access.policy import Access, who
from stoker.web.csrf import Csrf

SESSION_ENDED = (
    "Your session has ended: its token was revoked or has expired, or the dashboard was restarted. Log in again."
)


def add_login(app: Flask, access: Access, csrf: Csrf) -> None:
    @app.get("/login")
    @needs(AccessRole.NONE)
    def login_page() -> Response:
        if not access.asks_for_tokens:
            raise NotFound("This listener has no log-in.")
        return _page(access, csrf, SESSION_ENDED if g.get("session_ended") else "")

    @app.post("/login")
    @needs(AccessRole.NONE)
    def login() -> BaseResponse:
        csrf.check()
        token = check_secret(access, request.form.get("token", "").strip())
        if token is None:
            return _page(access, csrf, "That token is unknown, revoked or expired.")
        audit("login", "-", identity=token.identity)
        response = redirect(local_path(request.form.get("next", "")), 303)
        secret = access.sessions.start(token, request.remote_addr or "")
        response.set_cookie(session_cookie(), secret, httponly=True, samesite="Strict", secure=request.is_secure)
        return response

    @app.post("/logout")
    @needs(AccessRole.NONE)
    def logout() -> BaseResponse:
        csrf.check()
        access.sessions.end(request.cookies.get(session_cookie(), ""))
        audit("logout", "-")
        response = redirect("/", 303)
        response.delete_cookie(session_cookie(), httponly=True, samesite="Strict", secure=request.is_secure)
        return response


def _page(access: Access, csrf: Csrf, problem: str = "") -> Response:
    token = csrf.token()
    body = render_template(
        "login.html",
        title="Log in",
        csrf=token,
        problem=problem,
        next=local_path(request.values.get("next", "")),
        none_made=access.tokens is not None and access.tokens.is_empty,
        identity=who(),
    )
    is_refused = problem not in {"", SESSION_ENDED}
    return csrf.give(make_response(body, 401 if is_refused else 200), token)


def local_path(path: str) -> str:
    """Return ``path`` if it leads to this dashboard, else the overview: a log-in must not redirect to another site."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    is_local = not parts.scheme and not parts.netloc and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_local and path.isprintable() and "\\" not in path else "/"
