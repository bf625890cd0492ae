"""Messages of Spark's REST submission protocol: JSON with an ``action`` that names the type, absent fields left out."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from stoker.version import __version__
from stoker.web import jackson

VERSION = "v1"
UNKNOWN_VERSION = 468  # Spark's own status code
_ACTION = "CreateSubmissionRequest"


class MalformedRequest(Exception):
    """An invalid request; its text goes to the client."""


class CreateSubmission(msgspec.Struct, frozen=True, kw_only=True):
    appResource: str
    mainClass: str
    sparkProperties: dict[str, str]
    clientSparkVersion: str
    appArgs: list[str] = []
    environmentVariables: dict[str, str] = {}


_MAPS = ("sparkProperties", "environmentVariables")
_KNOWN = {"action", "message", *CreateSubmission.__struct_fields__}


def parse_create(body: bytes) -> tuple[CreateSubmission, list[str]]:
    """Return the request, and the names of unknown fields. Numbers and booleans become strings, as in Jackson. A null map is
    an empty one, and another null field counts as unknown. Raises MalformedRequest."""
    try:
        fields = {name: {} if name in _MAPS and value is None else value for name, value in jackson.parse(body).items()}
        given = {name: value for name, value in fields.items() if value is not None}
        request = _create_of(given)
        jackson.text_of(given.get("message", ""), "message")
    except jackson.Malformed as error:
        raise MalformedRequest(f"Malformed request: {error}") from None
    return request, [name for name in fields if name not in _KNOWN or name not in given]


def _create_of(given: dict[str, Any]) -> CreateSubmission:
    action = given.get("action")
    if action is None:
        raise jackson.Malformed("'action' is missing.")
    if action != _ACTION:
        raise MalformedRequest(f"Received message of unexpected type {str(action)[:80]}.")
    text = {
        name: jackson.text_of(given.get(name, ""), name) for name in ("clientSparkVersion", "appResource", "mainClass")
    }
    if "clientSparkVersion" not in given:
        raise jackson.Malformed(f"'clientSparkVersion' is missing in message {_ACTION}.")
    if "sparkProperties" not in given:
        raise jackson.Malformed("No Spark properties set!")
    if "appResource" not in given:
        raise MalformedRequest("Application jar is missing.")
    if not text["mainClass"]:
        raise MalformedRequest("Main class is missing.")
    return CreateSubmission(
        **text,
        sparkProperties=jackson.text_map_of(given["sparkProperties"], "sparkProperties"),
        appArgs=jackson.texts_of(given.get("appArgs", []), "appArgs"),
        environmentVariables=jackson.text_map_of(
            given.get("environmentVariables", {}), "environmentVariables", skip_null=True
        ),
    )


def answer(action: str, status: int = 200, **fields: object) -> Response:
    """Return the answer as Spark's server prints it: fields in alphabetical order, without those that are None."""
    message = {"action": action, "serverSparkVersion": __version__, **fields}
    text = jackson.pretty({name: message[name] for name in sorted(message) if message[name] is not None})
    response = Response(text, status, mimetype="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def error(message: str, status: int = 400) -> Response:
    highest = VERSION if status == UNKNOWN_VERSION else None
    return answer("ErrorResponse", status, message=message, highestProtocolVersion=highest)
