"""What both dashboards share: the Flask application with its headers, error pages and guards, and how values are shown."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException

ROWS = 200  # shown in a table; JSON has them all
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def new_app(name: str, *, host: str) -> Flask:
    """``host``: where the dashboard listens; on loopback, requests for other names are refused (DNS rebinding)."""
    app = Flask(name, template_folder="templates", static_folder="static")
    app.url_map.strict_slashes = False
    app.jinja_env.filters.update(mib=show_mib, when=show_time, duration=show_duration, status=show_status)
    app.jinja_env.globals.update(rows=ROWS, now=time.time)

    @app.before_request
    def check_host() -> None:
        asked = urlsplit(f"//{request.host}").hostname or ""
        if _is_loopback(host) and not _is_loopback(asked):
            raise BadRequest(f"this dashboard is for {host}, not for {asked}")

    @app.after_request
    def add_headers(response: Response) -> Response:
        for header, value in _HEADERS.items():
            response.headers.setdefault(header, value)
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return _error_page(error.code or 500, error.name, error.description or "")

    @app.errorhandler(Exception)
    def internal_error(error: Exception) -> Response:
        app.logger.exception("a page failed", exc_info=error)
        return _error_page(500, "Internal error", "The page could not be made; the daemon's log says why.")

    return app


def _error_page(code: int, name: str, text: str) -> Response:
    if request.path.startswith(("/json", "/api", "/log")):
        return make_response(jsonify(error=text, status=code), code)
    return make_response(render_template("error.html", code=code, name=name, text=text, title=name), code)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Csrf:
    """Double submit: a random cookie, and the same value in the form, both sealed with a key of this process."""

    COOKIE = "stoker_csrf"

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def token(self) -> str:
        """The visitor's token; a new one when it has none of ours."""
        token = request.cookies.get(self.COOKIE, "")
        return token if self._is_ours(token) else self._seal(secrets.token_hex(16))

    def give(self, response: Response, token: str) -> Response:
        response.set_cookie(self.COOKIE, token, httponly=True, samesite="Strict")
        return response

    def check(self) -> None:
        """Raises Forbidden for a form that is not from one of our own pages."""
        token, cookie = request.form.get("csrfToken", ""), request.cookies.get(self.COOKIE, "")
        origin = request.headers.get("Origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.host
        if foreign or not self._is_ours(token) or not hmac.compare_digest(token.encode(), cookie.encode()):
            raise Forbidden("This form is not from this dashboard (any more): reload the page and try again.")

    def _seal(self, value: str) -> str:
        return f"{value}.{hmac.new(self._key, value.encode(), 'sha256').hexdigest()}"

    def _is_ours(self, token: str) -> bool:
        value, _, _ = token.partition(".")
        return hmac.compare_digest(self._seal(value).encode(), token.encode())


def show_mib(mib: int) -> str:
    if mib >= 1024 * 1024:
        return f"{mib / 1024 / 1024:.1f} TiB"
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib}.0 MiB"


def show_time(seconds: float) -> str:
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(seconds)) if seconds else ""


def show_duration(seconds: float) -> str:
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def show_status(exit: object) -> str:
    """An exit as people read it."""
    code, signal = getattr(exit, "code", None), getattr(exit, "signal", None)
    if signal is not None:
        return f"signal {signal}"
    return "" if code is None else f"exit {code}"
