"""The worker's dashboard: its page, its JSON, and the output of its jobs (spec 15.4, 15.5)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import BadRequest, NotFound

from stoker.core.worker_snapshot import WorkerPage
from stoker.web.common import new_app
from stoker.web.spark_json import worker_page_json

WINDOW = 100 * 1024  # bytes shown by default, from the end
MAX_WINDOW = 1024 * 1024  # bytes at most


class LogPaths(Protocol):
    """Where the output of a job is; None for names that are not of this program's making."""

    def path(self, job_id: str, executor_id: int, stream: str) -> Path | None: ...


class _Part(NamedTuple):
    job: str
    start: int
    end: int
    size: int
    text: str
    query: str


def make_app(snapshot: Callable[[], WorkerPage], logs: LogPaths, *, host: str = "127.0.0.1") -> Flask:
    app = new_app(__name__, host=host)

    @app.get("/")
    def index() -> str:
        page = snapshot()
        return render_template("worker.html", page=page, title=f"Stoker worker at {page.host}:{page.port}")

    @app.get("/json/")
    def whole_json() -> Response:
        return jsonify(worker_page_json(snapshot()))

    @app.get("/logPage/")
    def log_page() -> str:
        part = _read(logs)
        return render_template("log.html", part=part, title=f"{part.job} {request.args.get('logType', '')}")

    @app.get("/log")
    def log_text() -> Response:
        part = _read(logs)
        head = f"==== Bytes {part.start}-{part.end} of {part.size} of {part.job} ====\n"
        response = make_response(head + part.text)
        response.mimetype = "text/plain"
        return response

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    return app


def _read(logs: LogPaths) -> _Part:
    """The window the query asks for."""
    args = request.args
    job = args.get("driverId") or args.get("appId") or ""
    stream = args.get("logType", "stdout")
    executor = _number("executorId", -1) if "appId" in args else -1
    length = min(max(_number("byteLength", WINDOW), 0), MAX_WINDOW)
    path = logs.path(job, executor, stream)
    if path is None:
        raise BadRequest("Name a driverId, or an appId and an executorId, and logType=stdout or stderr.")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise NotFound(f"There is no {stream} of {job} on this worker (any more).") from None
    try:
        size = os.fstat(descriptor).st_size
        start = min(max(_number("offset", size - length), 0), size)
        data = os.pread(descriptor, length, start)
    finally:
        os.close(descriptor)
    name = job if executor < 0 else f"{job}/{executor}"
    query = f"driverId={job}" if executor < 0 else f"appId={job}&executorId={executor}"
    return _Part(name, start, start + len(data), size, data.decode(errors="replace"), f"{query}&logType={stream}")


def _number(name: str, default: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{name} must be a whole number, not {text[:40]!r}.") from None
