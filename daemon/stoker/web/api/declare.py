"""One declaration for each operation: its Flask route, the required role, and its part of the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response
from werkzeug.exceptions import NotFound

from stoker.core.model.values import Value
from stoker.core.model.views import complete
from stoker.security.roles import AccessRole
from stoker.web.access.guard import needs
from stoker.web.api.query import Parameter, read_body, read_no_body, read_query
from stoker.web.common import as_json

BASE = "/api/v1"
IN_PATH = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Operation:
    """``answer`` is a struct, or the media type of an answer that is not a struct's JSON. ``errors`` are its further status
    codes. ``path`` is below BASE, or a whole path when ``base`` is ""."""

    method: str
    path: str  # with {names}
    summary: str
    role: AccessRole
    answer: type[Value] | str
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    body: type[Value] | None = None
    needs_body: bool = True  # otherwise no body means one without fields
    errors: tuple[int, ...] = ()
    names: tuple[tuple[str, str], ...] = ()  # path parameter, and the pattern it has to match
    base: str = BASE
    creates: str = ""  # the answer's id below this path is the header Location

    @property
    def whole_path(self) -> str:
        return self.base + self.path


class Api:
    """Collects the operations of ``app``."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.operations: list[Operation] = []

    def add(self, operation: Operation, view: Callable[..., Any]) -> None:
        """``view`` takes the path's parameters and those of the query by name, and ``body``; it returns the answer's struct,
        or a Response."""
        self.operations.append(operation)

        @needs(operation.role)
        def run(**path: str) -> Response:
            for name, pattern in operation.names:
                if not re.fullmatch(pattern, path[name], re.ASCII):
                    raise NotFound(f"{path[name][:80]!r} names nothing here.")
            query = read_query(operation.parameters)
            if operation.body is not None:
                query["body"] = read_body(operation.body, is_needed=operation.needs_body)
            else:
                read_no_body()
            answer = view(**path, **query)
            if isinstance(answer, Response):
                return answer
            response = as_json(complete(answer), operation.status)
            if operation.creates:
                response.headers["Location"] = f"{operation.base}{operation.creates}/{answer.id}"
            return response

        rule = IN_PATH.sub(r"<\1>", operation.whole_path)
        self._app.add_url_rule(rule, f"{operation.method} {rule}", run, methods=[operation.method])

    def mention(self, operation: Operation) -> None:
        """Describe an operation that has its route elsewhere."""
        self.operations.append(operation)
