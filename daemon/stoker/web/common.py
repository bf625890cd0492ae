"""What both dashboards share: the Flask application, its headers, error pages and guards."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import BadRequest, Conflict, Forbidden, HTTPException, MethodNotAllowed, NotFound

from stoker.errors import NotAuthorized, StokerError, did_you_mean
from stoker.errors import NotFound as NoSuchJob
from stoker.security.roles import AccessRole
from stoker.web import jackson
from stoker.web.access.guard import guard, needs
from stoker.web.access.login import add_login
from stoker.web.access.policy import Access
from stoker.web.cells import CELLS
from stoker.web.csrf import Csrf
from stoker.web.icons import add_icons, tone
from stoker.web.show import show_bytes, show_duration, show_exit, show_iso, show_mib, web_link

ROWS = 200  # rows shown in a table; JSON has all
PROGRAMS = ("/json", "/api/", "/metrics", "/history", "/healthz", "/readyz")  # paths whose errors are JSON
_HERE = Path(__file__).parent


def content_policy(others: Iterable[str] = ()) -> str:
    """Return the Content-Security-Policy of a page whose scripts may ask the origins ``others``, too."""
    connect = " ".join(("'self'", *others))
    return (
        f"default-src 'none'; script-src 'self'; connect-src {connect}; style-src 'self'; "
        "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


_HEADERS = {
    "Content-Security-Policy": content_policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers would post the dashboard's own forms with "Origin: null"
    "Cache-Control": "no-store",
}


def new_app(name: str, *, access: Access | None = None) -> Flask:
    """Make the application. ``access`` says who may do what; by default everybody on loopback may look."""
    access = access or Access()
    app = Flask(name, template_folder=str(_HERE / "templates"), static_folder=str(_HERE / "static"))
    app.url_map.strict_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        mib=show_mib,
        duration=show_duration,
        exit=show_exit,
        link=web_link,
        iso=show_iso,
        size=show_bytes,
        tone=tone,
        **CELLS,
    )
    app.jinja_env.globals.update(rows=ROWS, asset=_assets(app))
    csrf = app.extensions["csrf"] = Csrf()
    guard(app, access, csrf)
    add_icons(app)
    add_login(app, access, csrf)
    app.view_functions["static"] = needs(AccessRole.NONE)(app.view_functions["static"])
    _answer_errors(app)

    @app.before_request
    def check_query() -> None:
        try:
            request.query_string.decode()
        except UnicodeDecodeError:
            raise BadRequest("The query is not UTF-8: write such bytes as %XX.") from None

    @app.after_request
    def add_headers(response: Response) -> Response:
        if request.endpoint == "static" and b"v=" in request.query_string and response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"  # another version, another URL
        for header, value in _HEADERS.items():
            response.headers.setdefault(header, value)
        return response

    return app


def _answer_errors(app: Flask) -> None:
    """Answer every error with a page, or with JSON for programs."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        text = error.description or ""
        if error is request.routing_exception and request.path.startswith(PROGRAMS):
            text = _no_route(app, error)
        response = _error_answer(error.code or 500, text)
        for header, value in error.get_headers():
            if header in {"Allow", "Retry-After", "WWW-Authenticate", "Content-Range"}:
                response.headers[header] = value
        return response

    @app.errorhandler(StokerError)
    def unavailable(error: StokerError) -> Response:
        return _error_answer(503, str(error))

    @app.errorhandler(Exception)
    def internal_error(error: Exception) -> Response:
        app.logger.error("%s %s failed", request.method, request.path, exc_info=error)
        return _error_answer(500, "The page could not be made; the daemon's log says why.")


def _assets(app: Flask) -> Callable[[str], str]:
    """Make the URL of a static file; it contains the content's hash, so browsers may cache it permanently."""

    @functools.cache
    def asset(name: str) -> str:
        digest = hashlib.sha256((Path(str(app.static_folder)) / name).read_bytes()).hexdigest()
        return f"/static/{name}?v={digest[:12]}"

    return asset


def as_json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, mimetype="application/json")


def as_spark_json(value: object) -> Response:
    """Answer with JSON as Spark's pages print it."""
    return Response(jackson.pretty(value), mimetype="application/json")


def refusal(error: StokerError) -> HTTPException:
    """Turn the cluster's refusal of a change into an HTTP error."""
    if isinstance(error, NoSuchJob):
        return NotFound(str(error))
    return Forbidden(str(error)) if isinstance(error, NotAuthorized) else Conflict(str(error))


def whole_number(name: str, default: int) -> int:
    """Return a whole number of the query. Raises BadRequest."""
    text = request.args.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{name} must be a whole number, not {text[:40]!r}.") from None


def _no_route(app: Flask, error: HTTPException) -> str:
    """Return what is there instead of the path or the method that a program asked for."""
    if isinstance(error, MethodNotAllowed):
        return (
            f"{request.path[:80]} has no {request.method[:20]}: it has {', '.join(sorted(error.valid_methods or ()))}."
        )
    paths = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith(PROGRAMS)}
    hint = did_you_mean(request.path[:200], paths, likeness=0.8)
    where = ": the page /api/ lists what there is." if "/api/" in paths else "."
    return f"There is no {request.path[:80]}{f' ({hint})' if hint else ''}{where}"


def _error_answer(code: int, text: str) -> Response:
    if request.path.startswith(PROGRAMS):
        return as_json({"error": text, "status": code}, code)
    if request.path.rstrip("/") in {"/log", "/logTail", "/logFile"}:
        return Response(f"{text}\n", code, mimetype="text/plain")
    values: dict[str, Any] = {"code": code, "text": text, "title": HTTPStatus(code).phrase}
    values["awaited"] = code == 503 and request.method == "GET"  # the page looks again until it can be made
    return Response(render_template("error.html", **values), code)
