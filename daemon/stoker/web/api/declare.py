"""One declaration for each operation: its Flask route, the required role, and its part of the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest, NotFound

from stoker.core.model.plain import complete
from stoker.core.model.values import Value
from stoker.security.roles import AccessRole
from stoker.version import __version__
from stoker.web.access.guard import needs
from stoker.web.api.model import Problem
from stoker.web.common import as_json

BASE = "/api/v1"
_PARAMETER = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Parameter:
    """A query parameter. ``kind`` is int or str; with empty ``choices`` every value is valid."""

    name: str
    meaning: str
    kind: type[int] | type[str] = int
    default: int | str = 0
    least: int = 0
    most: int = 2**53
    choices: tuple[str, ...] = ()

    def read(self) -> Any:
        """Raises BadRequest."""
        text = request.args.get(self.name)
        if text is None:
            return self.default
        if self.kind is str:
            if text not in self.choices:
                raise BadRequest(f"{self.name} must be one of {', '.join(self.choices)}.")
            return text
        if not re.fullmatch(r"-?[0-9]{1,16}", text) or not self.least <= int(text) <= self.most:
            raise BadRequest(f"{self.name} must be a whole number from {self.least} to {self.most}.")
        return int(text)

    def schema(self) -> dict[str, Any]:
        if self.kind is str:
            return {"type": "string", "enum": list(self.choices)}
        return {"type": "integer", "minimum": self.least, "maximum": self.most, "default": self.default}


@dataclass(frozen=True)
class Operation:
    """``answer`` is a struct, or the media type of an answer that is not JSON. ``errors`` are its further status codes."""

    method: str
    path: str  # below BASE, with {names}
    summary: str
    role: AccessRole
    answer: type[Value] | str
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    body: type[Value] | None = None
    errors: tuple[int, ...] = ()
    names: tuple[tuple[str, str], ...] = ()  # path parameter, and the pattern it has to match


class Api:
    """Collects the operations of ``app``."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._operations: list[Operation] = []

    def add(self, operation: Operation, view: Callable[..., Any]) -> None:
        """``view`` takes the path's parameters and those of the query by name, and ``body``; it returns the answer's struct,
        or a Response."""
        self._operations.append(operation)

        @needs(operation.role)
        def run(**path: str) -> Response:
            for name, pattern in operation.names:
                if not re.fullmatch(pattern, path[name], re.ASCII):
                    raise NotFound(f"{path[name][:80]!r} names nothing here.")
            query = {parameter.name: parameter.read() for parameter in operation.parameters}
            if operation.body is not None:
                query["body"] = _decoded(operation.body)
            answer = view(**path, **query)
            return answer if isinstance(answer, Response) else as_json(complete(answer), operation.status)

        rule = BASE + _PARAMETER.sub(r"<\1>", operation.path)
        self._app.add_url_rule(rule, f"{operation.method} {rule}", run, methods=[operation.method])

    def document(self) -> dict[str, Any]:
        """OpenAPI 3.1."""
        kinds = {kind for op in self._operations for kind in (op.answer, op.body) if isinstance(kind, type)}
        _, schemas = msgspec.json.schema_components([*kinds, Problem], ref_template="#/components/schemas/{name}")
        paths: dict[str, dict[str, Any]] = {}
        for operation in self._operations:
            paths.setdefault(BASE + operation.path, {})[operation.method.lower()] = _described(operation)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Stoker",
                "version": __version__,
                "description": "Memory in MiB, times in seconds since the Unix epoch (0: not yet).",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "security": [{"token": []}, {}],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }


def _decoded(kind: type[Value]) -> Value:
    """Raises BadRequest."""
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not what is asked for: {error}") from None


def _described(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"type": "string"}
    media = "application/json"
    if isinstance(operation.answer, str):
        media = operation.answer
    else:
        answer = _reference(operation.answer)
    said: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}{re.sub(r'[^A-Za-z]+', '_', operation.path)}",
        "summary": operation.summary,
        "description": f"Takes a {operation.role.label}." if operation.role else "Takes no token.",
        "parameters": [_path_parameter(operation, name) for name in _PARAMETER.findall(operation.path)]
        + [
            {"name": one.name, "in": "query", "description": one.meaning, "schema": one.schema()}
            for one in operation.parameters
        ],
        "responses": {
            str(operation.status): {
                "description": HTTPStatus(operation.status).phrase,
                "content": {media: {"schema": answer}},
            },
            **{str(code): _problem(code) for code in sorted({400, 401, 403, 405, 429, 503, *operation.errors})},
        },
    }
    if operation.body is not None:
        said["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(operation.body)}},
        }
    return said


def _path_parameter(operation: Operation, name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    pattern = dict(operation.names).get(name)
    if pattern:
        schema["pattern"] = f"^{pattern}$"
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _reference(kind: type[Value]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _problem(code: int) -> dict[str, Any]:
    return {"description": HTTPStatus(code).phrase, "content": {"application/json": {"schema": _reference(Problem)}}}
