"""Output of jobs over HTTP, on the worker and, through the master, on the master: pages, plain text, bytes (spec 15.4)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import BadRequest

from stoker.io.own_log import OwnLog
from stoker.web.common import whole_number
from stoker.web.log_files import OutputFiles
from stoker.web.log_window import (
    BEFORE_MATCH,
    MAX_FIND,
    MAX_WINDOW,
    WINDOW,
    Found,
    JobOutput,
    LogReaders,
    LogWindow,
    readable,
)
from stoker.web.own_pages import own_log_page, own_log_text


class Piece(NamedTuple):
    """A piece of a log's text. ``is_here``: it is the match that was searched for last."""

    text: str
    is_match: bool
    is_here: bool = False


def add_log_pages(app: Flask, logs: LogReaders, *, back: str) -> None:
    """Add the pages. ``back`` names the daemon of this dashboard: Master or Worker."""
    files = OutputFiles(logs, logs.for_downloads())
    own = OwnLog()

    @app.get("/logPage/")
    def log_page() -> str:
        if "self" in request.args:
            return own_log_page(own, back)
        output = JobOutput.asked_for(request.args)
        find, found = _search(logs, output)
        window = _asked_window(logs, output, found)
        values: dict[str, Any] = {
            "output": output,
            "window": window,
            "find": find,
            "found": found,
            "pieces": _pieces(window, find, found),
            "link": _linker(output, window.length),
            "back": back,
        }
        return render_template("log.html", title=f"{output.stream} log page for {output.title}", **values)

    @app.get("/log/")
    def log_text() -> Response:
        if "self" in request.args:
            return own_log_text(own)
        output = JobOutput.asked_for(request.args)
        window = _asked_window(logs, output, None)
        head = f"==== Bytes {window.start}-{window.end} of {window.size} of {output.title}/{output.stream} ====\n"
        return Response(head + window.text, mimetype="text/plain")

    @app.get("/logFile/")
    def log_file() -> Response:
        """Answer with raw bytes, as Range asks; without Range with all of them."""
        return files.answer(JobOutput.asked_for(request.args), as_file="download" in request.args)

    @app.get("/logTail/")
    def log_tail() -> Response:
        """Answer a follower with the bytes at offset (below 0: from the end), possibly none. Headers: Log-Start and
        Log-Size in bytes, and Log-State: waiting (not started), running, or ended (nothing will follow)."""
        output = JobOutput.asked_for(request.args)
        offset, length = whole_number("offset", 0), min(whole_number("byteLength", WINDOW), MAX_WINDOW)
        window = logs.window(output, length=-offset) if offset < 0 else logs.window(output, start=offset, length=length)
        response = Response(window.data, mimetype="text/plain")
        response.headers["Log-Start"] = str(window.start)
        response.headers["Log-Size"] = str(window.size)
        response.headers["Log-State"] = "waiting" if window.waiting else "ended" if window.ended else "running"
        return response


def _asked_window(logs: LogReaders, output: JobOutput, found: Found | None) -> LogWindow:
    length = whole_number("byteLength", WINDOW)
    if found is not None and found.at is not None:
        return logs.window(output, start=max(found.at - BEFORE_MATCH, 0), length=length)
    return logs.window(output, start=whole_number("offset", 0) if request.args.get("offset") else None, length=length)


def _search(logs: LogReaders, output: JobOutput) -> tuple[str, Found | None]:
    find = request.args.get("find", "")
    if not find:
        return "", None
    if len(find) > MAX_FIND:
        raise BadRequest(f"Search for at most {MAX_FIND} characters.")
    backwards = request.args.get("direction", "up") == "up"  # the newest first, which is what people look for
    start = whole_number("from", 1 << 62 if backwards else 0)
    return find, logs.find(output, find, start, backwards=backwards)


def _linker(output: JobOutput, length: int) -> Any:
    """Return a function that makes links to the same output: ``link(offset=7)``, ``link(path="/logFile/")``."""

    def link(path: str = "/logPage/", stream: str = "", **more: object) -> str:
        size = {} if length == WINDOW else {"byteLength": length}
        rest = urlencode({**size, **more})
        return f"{path}?{output.query(stream)}" + (f"&{rest}" if rest else "")

    return link


def _pieces(window: LogWindow, find: str, found: Found | None) -> list[Piece]:
    if found is None or found.at is None:
        return [Piece(readable(window.text), False)]
    here = min(max(found.at - window.start, 0), len(window.data))
    before, after = (readable(part.decode(errors="replace")) for part in (window.data[:here], window.data[here:]))
    pieces = _matches(after, find)
    if pieces and pieces[0].is_match:
        pieces[0] = pieces[0]._replace(is_here=True)
    return [*_matches(before, find), *pieces]


def _matches(text: str, find: str) -> list[Piece]:
    parts = re.split(f"({re.escape(find)})", text, flags=re.IGNORECASE)
    return [Piece(part, index % 2 == 1) for index, part in enumerate(parts) if part]
