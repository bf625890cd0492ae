"""The icon of a browser's tab: Stoker's, with a dot whose colour says how what the page shows is doing."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response
from werkzeug.exceptions import NotFound

from stoker.security.roles import AccessRole
from stoker.web.access.guard import needs

COLOURS = {"plain": "", "good": "#2f9e63", "wait": "#e0a63a", "bad": "#e5342b", "done": "#8a94a1", "away": "#8a94a1"}
_TONES = {
    "good": {"ALIVE", "RUNNING"},
    "wait": {"SUBMITTED", "WAITING", "RELAUNCHING", "LAUNCHING", "DECOMMISSIONED", "RECOVERING", "STANDBY"},
    "bad": {"DEAD", "UNKNOWN", "FAILED", "ERROR", "LOST"},
    "done": {"FINISHED", "KILLED", "EXITED"},
}
_TONE_OF = {state: tone for tone, states in _TONES.items() for state in states}


def tone(state: str) -> str:
    """Return the tone of a state: a key of ``COLOURS``."""
    return _TONE_OF.get(state, "plain")


def add_icons(app: Flask) -> None:
    plain = (Path(str(app.static_folder)) / "favicon.svg").read_text()

    @app.get("/icon/<name>.svg")
    @needs(AccessRole.NONE)
    def icon(name: str) -> Response:
        if name not in COLOURS:
            raise NotFound("There is no such icon.")
        mark = f'<circle cx="24" cy="24" r="7.5" fill="{COLOURS[name]}" stroke="#fff" stroke-width="1.5"/>'
        picture = plain.replace("</svg>", f"{mark}</svg>") if COLOURS[name] else plain
        response = Response(picture, mimetype="image/svg+xml")
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response
