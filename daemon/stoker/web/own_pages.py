"""Pages about the daemon itself, on the master's and the worker's dashboard: its settings and its log (spec 15.3, 15.4)."""

from __future__ import annotations

import os
import platform
import shlex
import sys

from flask import Flask, Response, render_template, request

from stoker.config.effective import ShownSettings
from stoker.core.model.redaction import redacted
from stoker.io.own_log import OwnLog, OwnLogWindow
from stoker.version import RELEASE
from stoker.web.common import whole_number
from stoker.web.log_window import MAX_WINDOW, WINDOW, readable


def add_environment(app: Flask, own: ShownSettings, *, daemon: str) -> None:
    """Add the page of the settings. ``daemon``: Master or Worker."""

    @app.get("/environment/")
    def environment() -> str:
        facts = {
            "Stoker": RELEASE,
            "Python": f"{platform.python_version()}, {sys.executable}",
            "System": f"{platform.system()} {platform.release()}",
            "Process": str(os.getpid()),
            "Command": shlex.join(redacted(sys.argv)),
        }
        return render_template("environment.html", title=f"Environment of this {daemon}", facts=facts, own=own)


def own_log_page(log: OwnLog, back: str) -> str:
    """Answer with a window of the daemon's own log, by default its end, or with a page that says where the log is."""
    window = _window(log)
    links = {} if window is None else {"earlier": _link(max(window.start - _length(), 0)), "latest": _link(None)}
    return render_template(
        "own_log.html", title=f"Log of this {back}", window=window, where=log.where(), links=links, back=back,
        text="" if window is None else readable(window.data.decode(errors="replace")),
    )  # fmt: skip


def own_log_text(log: OwnLog) -> Response:
    """Answer with the same window as plain text."""
    window = _window(log)
    if window is None:
        return Response(f"The log of this daemon is in {log.where()}.\n", 404, mimetype="text/plain")
    head = f"==== Bytes {window.start}-{window.end} of {window.size} of {log.where()} ====\n"
    return Response(head + window.data.decode(errors="replace"), mimetype="text/plain")


def _length() -> int:
    return min(max(whole_number("byteLength", WINDOW), 0), MAX_WINDOW)


def _window(log: OwnLog) -> OwnLogWindow | None:
    return log.read(whole_number("offset", 0) if request.args.get("offset") else None, _length())


def _link(offset: int | None) -> str:
    length = "" if _length() == WINDOW else f"&byteLength={_length()}"
    return "/logPage/?self&logType=out" + length + ("" if offset is None else f"&offset={offset}")
