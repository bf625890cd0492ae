"""What both dashboards share: the Flask application with its headers, error pages and guards."""

from __future__ import annotations

import ipaddress
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import BadRequest, HTTPException

from stoker.errors import StokerError
from stoker.web.show import show_duration, show_exit, show_mib, show_time, web_link

ROWS = 200  # shown in a table; JSON has them all
_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers post our own forms with "Origin: null"
    "Cache-Control": "no-store",
}


def new_app(name: str, *, host: str) -> Flask:
    """``host``: where the dashboard listens. On loopback, requests for other names are refused: they come from a page
    whose name was made to point here (DNS rebinding)."""
    app = Flask(name, template_folder=str(_HERE / "templates"), static_folder=str(_HERE / "static"))
    app.url_map.strict_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(mib=show_mib, when=show_time, duration=show_duration, exit=show_exit, link=web_link)
    app.jinja_env.globals.update(rows=ROWS, now=time.time)

    @app.before_request
    def check_host() -> None:
        if _is_loopback(host) and not _is_loopback(_asked_host()):
            raise BadRequest(f"This dashboard is for {host} only: open it by that name.")

    @app.after_request
    def add_headers(response: Response) -> Response:
        for header, value in _HEADERS.items():
            response.headers.setdefault(header, value)
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        response = _error_answer(error.code or 500, error.description or "")
        for header, value in error.get_headers():
            if header in {"Allow", "Retry-After"}:
                response.headers[header] = value
        return response

    @app.errorhandler(StokerError)
    def unavailable(error: StokerError) -> Response:
        return _error_answer(503, str(error))

    @app.errorhandler(Exception)
    def internal_error(error: Exception) -> Response:
        app.logger.error("%s %s failed", request.method, request.path, exc_info=error)
        return _error_answer(500, "The page could not be made; the daemon's log says why.")

    return app


def as_json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, mimetype="application/json")


def whole_number(name: str, default: int) -> int:
    """A parameter of the query. Raises BadRequest."""
    text = request.args.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{name} must be a whole number, not {text[:40]!r}.") from None


def _error_answer(code: int, text: str) -> Response:
    if request.path.startswith(("/json", "/api/")):
        return as_json({"error": text, "status": code}, code)
    if request.path.rstrip("/") == "/log":
        return Response(f"{text}\n", code, mimetype="text/plain")
    values: dict[str, Any] = {"code": code, "text": text, "title": HTTPStatus(code).phrase}
    return Response(render_template("error.html", **values), code)


def _asked_host() -> str:
    try:
        return urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
