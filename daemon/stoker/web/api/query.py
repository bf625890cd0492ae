"""The query and the body of a request. Whatever an operation does not know is an error: a filter with a misspelt name would
find everything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import request
from msgspec import inspect
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from stoker.core.model.values import Value
from stoker.errors import did_you_mean

LONGEST = 300  # characters of a text in a query
ANY_TEXT = r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"  # not empty: a variable of a script that was not set finds nothing
JSON = "application/json"


@dataclass(frozen=True)
class Parameter:
    """A query parameter. ``kind`` is int, float or str; with empty ``choices`` every text of ``pattern`` is valid."""

    name: str
    meaning: str
    kind: type[int] | type[float] | type[str] = int
    default: int | float | str = 0
    least: int = 0
    most: int = 2**53
    choices: tuple[str, ...] = ()
    pattern: str = ANY_TEXT

    def read(self) -> Any:
        """Raises BadRequest."""
        given = request.args.getlist(self.name)
        if not given:
            return self.default
        if len(given) > 1:
            raise BadRequest(f"{self.name} must be given once, not {len(given)} times.")
        text = given[0]
        if self.kind is str:
            return self._text(text)
        pattern, noun = (r"-?[0-9]{1,16}", "whole number") if self.kind is int else (r"[-+0-9.e]{1,30}", "number")
        try:
            number = (int if self.kind is int else float)(text) if re.fullmatch(pattern, text, re.ASCII) else None
        except ValueError:
            number = None
        if number is None or not self.least <= number <= self.most:
            raise BadRequest(f"{self.name} must be a {noun} from {self.least} to {self.most}, not {text[:40]!r}.")
        return number

    def _text(self, text: str) -> str:
        if self.choices and text not in self.choices:
            hint = did_you_mean(text.upper() if self.choices[0].isupper() else text, self.choices)
            raise BadRequest(f"{self.name} must be one of {', '.join(self.choices)}, not {text[:40]!r}{_also(hint)}.")
        if len(text) > LONGEST or not re.fullmatch(self.pattern[1:-1], text):
            wanted = (
                "a text, not empty and without control characters" if self.pattern is ANY_TEXT else self.pattern[1:-1]
            )
            raise BadRequest(f"{self.name} must be {wanted}, not {text[:40]!r}: leave it out to set none.")
        return text

    def schema(self) -> dict[str, Any]:
        if self.kind is str:
            if self.choices:
                return {"type": "string", "enum": list(self.choices)}
            return {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": self.pattern}
        kind = "integer" if self.kind is int else "number"
        return {"type": kind, "minimum": self.least, "maximum": self.most, "default": self.default}


def read_query(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Return the values by name. Raises BadRequest for an unknown parameter, or an invalid value."""
    known = {parameter.name: parameter for parameter in parameters}
    for name in request.args:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            hint = did_you_mean(name, known)
            raise BadRequest(f"{request.path[:80]} has no parameter {name[:40]!r}{_also(hint)}: {has}.")
    return {name: parameter.read() for name, parameter in known.items()}


def read_body(kind: type[Value], *, is_needed: bool = True) -> Value:
    """Return the request's body. Raises UnsupportedMediaType, and BadRequest for a body that is not a ``kind``. Unless it
    ``is_needed``, no body, of any type, is one without fields."""
    if not is_needed and _is_empty():
        return kind()
    if request.mimetype != JSON:
        raise UnsupportedMediaType(
            f"The body must be JSON, sent with the header Content-Type: {JSON}, not {request.mimetype[:80] or 'none'}."
        )
    data = request.get_data()
    try:
        # First, so that a misspelt field is named, and not what is missing because of it.
        given = _with_whole_numbers(msgspec.json.decode(data))
        json.loads(data, object_pairs_hook=_each_once, parse_int=str)  # as text: Python limits the digits
        _reject_unknown(given, inspect.type_info(kind), "")
        return msgspec.convert(given, kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not what is asked for: {error}.") from None


def read_no_body() -> None:
    """Raises BadRequest for a body, since the operation takes none; an empty object does not count."""
    if not _is_empty():
        instead = ": filters belong into the query (curl -G)" if request.method == "GET" else ""
        raise BadRequest(f"{request.method} {request.path[:80]} takes no body{instead}.")


def _each_once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object. Raises BadRequest for a field that it has twice: all readers ignore one of the two."""
    found = dict(fields)
    if len(found) < len(fields):
        names = [name for name, _ in fields]
        name = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"The body has {name[:40]!r} twice: give it once.")
    return found


def _with_whole_numbers(value: Any) -> Any:
    """Return the JSON value with 2.0 as 2: JSON has one kind of numbers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_whole_numbers(item) for name, item in value.items()}
    return value


def _is_empty() -> bool:
    return request.get_data().strip() in {b"", b"{}"}


def _reject_unknown(value: object, kind: inspect.Type, where: str) -> None:
    """Raise BadRequest for a field that ``kind`` does not have; msgspec would ignore it."""
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            if isinstance(one, inspect.StructType):
                _reject_unknown(value, one, where)
    elif isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        for number, item in enumerate(value):
            _reject_unknown(item, kind.item_type, f"{where}[{number}]")
    elif isinstance(kind, inspect.StructType) and isinstance(value, dict):
        known = {field.encode_name: field.type for field in kind.fields}
        for name, content in value.items():
            if name not in known:
                hint = did_you_mean(name, known) or f"it has {', '.join(known)}"
                raise BadRequest(f"The body{where and f' at {where}'} has no field {name[:40]!r}: {hint}.")
            _reject_unknown(content, known[name], f"{where}.{name}" if where else name)


def _also(hint: str) -> str:
    return f" ({hint})" if hint else ""
