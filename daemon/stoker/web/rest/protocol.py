"""Messages of Spark's REST submission protocol: JSON with an ``action`` that names the type, absent fields left out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from flask import Response

from stoker.version import __version__

VERSION = "v1"
UNKNOWN_VERSION = 468  # Spark's own status code
_ACTION = "CreateSubmissionRequest"


class MalformedRequest(Exception):
    """Its text is for whoever sent the request."""


class CreateSubmission(msgspec.Struct, frozen=True, kw_only=True):
    appResource: str | None = None
    mainClass: str | None = None
    sparkProperties: dict[str, str] | None = None
    clientSparkVersion: str | None = None
    appArgs: list[str] = []
    environmentVariables: dict[str, str] = {}


_KNOWN = {"action", "message", *CreateSubmission.__struct_fields__}


def parse_create(body: bytes) -> tuple[CreateSubmission, list[str]]:
    """The request, and the names of fields that are not of it. Raises MalformedRequest."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"Malformed request: {error}") from None
    action = fields.get("action")
    if action is None:
        raise MalformedRequest("Malformed request: 'action' is missing.")
    if action != _ACTION:
        raise MalformedRequest(f"Received message of unexpected type {str(action)[:80]}.")
    try:
        request = msgspec.convert(
            {name: value for name, value in fields.items() if value is not None}, CreateSubmission
        )
    except msgspec.ValidationError as error:
        raise MalformedRequest(f"Malformed request: {error}") from None
    if request.clientSparkVersion is None:
        raise MalformedRequest(f"Malformed request: 'clientSparkVersion' is missing in message {_ACTION}.")
    if request.sparkProperties is None:
        raise MalformedRequest("Malformed request: No Spark properties set!")
    if request.appResource is None:
        raise MalformedRequest("Application jar is missing.")
    if not request.mainClass:
        raise MalformedRequest("Main class is missing.")
    return request, sorted(set(fields) - _KNOWN)


def answer(action: str, status: int = 200, **fields: object) -> Response:
    """Fields in alphabetical order, those that are None left out, pretty-printed: as Spark's."""
    message = {"action": action, "serverSparkVersion": __version__, **fields}
    text = json.dumps({name: message[name] for name in sorted(message) if message[name] is not None}, indent=2)
    response = Response(text, status, mimetype="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def error(message: str, status: int = 400) -> Response:
    highest = VERSION if status == UNKNOWN_VERSION else None
    return answer("ErrorResponse", status, message=message, highestProtocolVersion=highest)
