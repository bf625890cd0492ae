"""JSON as Jackson prints and reads it, because Spark's clients and monitors depend on it.

They search lines for ``"driverState" : "RUNNING"``: two spaces of indentation, blanks on both sides of the colon, an
array's objects on the line of its bracket, characters beyond ASCII unescaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, NoReturn

_CONTROL = re.compile(r"((?<!\\)(?:\\\\)*\\u)(00[0-9a-f]{2})")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


class Malformed(Exception):
    """Unexpected JSON; one line says why."""


class _Number(str):
    """A number as it was written: Jackson makes ``"1.50"`` of ``1.50``."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_no_constant)


def pretty(value: object) -> bytes:
    """Print as Jackson's default pretty-printer does. ``value``: dict, list, tuple, str, int, float, bool or None."""
    return "".join(_parts(value, "\n")).encode(errors="replace")


def _parts(value: object, newline: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        inner = f"{newline}  "
        separator = f"{{{inner}"
        for name, content in value.items():
            yield f"{separator}{_text(name)} : "
            yield from _parts(content, inner)
            separator = f",{inner}"
        yield f"{newline}}}" if value else "{ }"
    elif isinstance(value, (list, tuple)):
        separator = "[ "
        for item in value:
            yield separator
            yield from _parts(item, newline)
            separator = ", "
        yield " ]" if value else "[ ]"
    elif isinstance(value, str):
        yield _text(value)
    else:
        yield json.dumps(value)


def _text(value: str) -> str:
    """Return a JSON string; control characters are escaped with upper-case digits, as in Java."""
    escaped: str = encode_basestring(value)
    return _CONTROL.sub(lambda match: match[1] + match[2].upper(), escaped) if "\\u00" in escaped else escaped


def parse(body: bytes) -> dict[str, Any]:
    """Return an object whose numbers are texts, as they were written, for ``text_of``. Text after the object is ignored, and
    bytes that are not UTF-8 are replaced. Raises Malformed."""
    try:
        found, _ = _DECODER.raw_decode(body.decode(errors="replace").lstrip(" \t\r\n"))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Malformed("it is not a JSON object")
    return found


def text_of(value: object, what: str) -> str:
    """Return a scalar as a string, as Jackson coerces it. Raises Malformed, which names it ``what``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        kind = "an object" if isinstance(value, dict) else "an array" if isinstance(value, list) else "null"
        raise Malformed(f"{what} must be a string, a number or a boolean, not {kind}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Malformed(f"{what} holds half of a surrogate pair") from None
    return str(value)


def texts_of(value: object, what: str) -> list[str]:
    """Return an array of scalars as strings. Raises Malformed."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise Malformed(f"{what} must be an array")
    return [text_of(item, f"{what}[{number}]") for number, item in enumerate(value)]


def text_map_of(value: object, what: str, *, skip_null: bool = False) -> dict[str, str]:
    """Return an object with scalar values as strings. Raises Malformed."""
    if not isinstance(value, Mapping):
        raise Malformed(f"{what} must be an object")
    return {
        text_of(name, f"a name in {what}"): text_of(content, f"{what}[{json.dumps(name)[:80]}]")
        for name, content in value.items()
        if content is not None or not skip_null
    }
