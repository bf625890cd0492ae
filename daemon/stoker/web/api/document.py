"""The OpenAPI document, from the declared operations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from stoker.core.model.values import Value
from stoker.version import __version__
from stoker.web.api.declare import IN_PATH, Operation
from stoker.web.api.model import Problem

_ABOUT = "Memory in MiB, times in seconds since the Unix epoch (0: not yet). An unknown parameter or field is an error (400)."


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    kinds = {kind for op in operations for kind in (op.answer, op.body) if isinstance(kind, type)}
    _, schemas = msgspec.json.schema_components([*kinds, Problem], ref_template="#/components/schemas/{name}")
    for name in msgspec.json.schema_components([op.body for op in operations if op.body is not None])[1]:
        schemas[name]["additionalProperties"] = False
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.whole_path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Stoker",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    words = re.sub(r"[^A-Za-z0-9]+", "_", operation.path).strip("_")
    said: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}_{words}",
        "summary": operation.summary,
        "description": f"Takes a {operation.role.label}." if operation.role else "Takes no token.",
        "parameters": [_path_parameter(operation, name) for name in IN_PATH.findall(operation.path)]
        + [
            {"name": one.name, "in": "query", "description": one.meaning, "schema": one.schema()}
            for one in operation.parameters
        ],
        "responses": {str(operation.status): _answer(operation)}
        | {str(code): _problem(code) for code in sorted(_errors(operation))},
    }
    if operation.body is not None:
        said["requestBody"] = {
            "required": operation.needs_body,
            "content": {"application/json": {"schema": _reference(operation.body)}},
        }
    return said


def _errors(operation: Operation) -> set[int]:
    errors = {400, 401, 403, 405, 429, 503, *operation.errors}
    return errors if operation.method == "GET" else errors | {415}


def _answer(operation: Operation) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    media = "application/json"
    if not isinstance(operation.answer, str):
        schema = _reference(operation.answer)
    else:
        media = operation.answer
        if media == "application/json":
            schema = {"type": "object"}
    answer: dict[str, Any] = {
        "description": HTTPStatus(operation.status).phrase,
        "content": {media: {"schema": schema}},
    }
    if operation.creates:
        answer["headers"] = {"Location": {"description": "where it is", "schema": {"type": "string"}}}
    return answer


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
