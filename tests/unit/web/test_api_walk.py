"""Every operation of the OpenAPI document, asked wrongly in every way that the document rules out: it is rejected, by a line
that names what is wrong, and nothing is changed. The cases are made from the document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.web import Control
from tests.unit.web.api import APP, DRIVER, PROGRAM, WORKER, client, get

DOCUMENT = get("/openapi.json")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OF_PATH = {"executor": "0", "stream": "stdout", "field": "workers"}
OWN = ("/api/v1/", "/history/")  # the others are Spark's and Prometheus's, which ignore what they do not know
WRONG: dict[str, tuple[Any, ...]] = {  # by the type in the document
    "string": (7, True, None, [], {}),
    "integer": ("x", "7", 1.5, True, None, [], {}),
    "number": ("x", "7", True, None, [], {}),
    "boolean": ("true", 1, None, [], {}),
    "array": ("x", 7, {}, None),
    "object": ("x", 7, [], None),
}


def concrete(path: str) -> str:
    ids = {"drivers": DRIVER, "applications": APP, "workers": WORKER}
    kind = next((one for one in ids if f"/{one}/" in path), "")
    return path.format(id=ids.get(kind, ""), **OF_PATH)


def operations(*, own: bool = True) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, description)"""
    for path, ways in DOCUMENT["paths"].items():
        for method, described in ways.items():
            if path.startswith(OWN) or not own:
                yield method.upper(), path, described


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or that of the struct it refers to."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return resolved(one)
    reference = schema.get("$ref", "")
    return DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def body_of(described: dict[str, Any]) -> dict[str, Any] | None:
    body = described.get("requestBody")
    return resolved(body["content"]["application/json"]["schema"]) if body else None


VALID = {"DriverDescription": PROGRAM}
READS = [pytest.param(m, p, d, id=f"{m} {p}") for m, p, d in operations() if m == "GET"]
CHANGES = [pytest.param(m, p, d, id=f"{m} {p}") for m, p, d in operations() if m == "POST"]
BODIES = [pytest.param(p, body_of(d), id=p) for m, p, d in operations() if m == "POST" and body_of(d)]
BODILESS = [pytest.param(m, p, d, id=f"{m} {p}") for m, p, d in operations() if m == "POST" and not body_of(d)]
ALL = READS + CHANGES


CONTROL = Control()
CLIENT = client(CONTROL)


def rejected(method: str, path: str, *status: int, **request: Any) -> str:
    """Return the error of a request that changes nothing."""
    response = CLIENT.open(concrete(path), method=method, **request)
    assert response.status_code in status, f"{method} {path} {request}: {response.status_code} {response.text[:300]}"
    error = response.get_json()["error"]
    assert "\n" not in error and "Traceback" not in error and error
    changes = (CONTROL.what_ifs, CONTROL.killed, CONTROL.held, CONTROL.updated, CONTROL.drained, CONTROL.submitted)
    assert not any(changes), f"{method} {path} {request} changed something"
    return str(error)


def valid_body(described: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a request that would be accepted."""
    schema = body_of(described)
    return {} if schema is None else {"json": VALID.get(schema["title"], {})}


@pytest.mark.parametrize(("method", "path", "described"), ALL)
def test_an_unknown_parameter(method: str, path: str, described: dict[str, Any]) -> None:
    known = [one["name"] for one in described["parameters"] if one["in"] == "query"]
    for name in ("zork", "__proto__", "", *[one[:-1] + one[-1] * 2 for one in known], *map(str.upper, known)):
        error = rejected(method, path, 400, query_string={name: "ada"}, **valid_body(described))
        assert "has no parameter" in error


@pytest.mark.parametrize(("method", "path", "described"), ALL)
def test_an_invalid_value_of_a_parameter(method: str, path: str, described: dict[str, Any]) -> None:
    for one in (one for one in described["parameters"] if one["in"] == "query"):
        is_text = one["schema"]["type"] == "string"
        values = (
            ("", "\x00", "a\nb", "x" * 301) if is_text else ("", "x", "1e400", "nan", "\N{ARABIC-INDIC DIGIT THREE}")
        )
        for value in values:
            assert one["name"] in rejected(method, path, 400, query_string={one["name"]: value})
        assert "must be given once" in rejected(method, path, 400, query_string=f"{one['name']}=1&{one['name']}=1")


@pytest.mark.parametrize(("method", "path", "described"), READS)
def test_reading_takes_no_body(method: str, path: str, described: dict[str, Any]) -> None:
    """``curl -X GET -d user=ada`` must not list everybody's jobs."""
    for request in ({"data": {"user": "ada"}}, {"json": {"user": "ada"}}, {"data": b"user=ada"}):
        assert "takes no body" in rejected(method, path, 400, **request)


@pytest.mark.parametrize("path", [path for path in DOCUMENT["paths"] if path.startswith("/api/")])
def test_a_wrong_method(path: str) -> None:
    for method in METHODS:
        if method.lower() not in DOCUMENT["paths"][path]:
            assert f"has no {method}: it has" in rejected(method, path, 405, json={})


@pytest.mark.parametrize(("method", "path", "described"), CHANGES)
def test_a_body_of_another_type(method: str, path: str, described: dict[str, Any]) -> None:
    takes_body = body_of(described) is not None
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", ""):
        error = rejected(method, path, *((415,) if takes_body else (400, 415)), data=b"x=1", content_type=kind)
        assert "JSON" in error or "takes no body" in error


@pytest.mark.parametrize(("method", "path", "described"), CHANGES)
def test_a_body_that_is_not_an_object(method: str, path: str, described: dict[str, Any]) -> None:
    for data in (b"{", b"[]", b"null", b"7", b'"x"', b"\xff", b"[" * 5000, b"nan", b'{"x": ' + b"9" * 5000 + b"}"):
        rejected(method, path, 400, data=data, content_type="application/json")


@pytest.mark.parametrize(("method", "path", "described"), BODILESS)
def test_a_field_where_there_is_none(method: str, path: str, described: dict[str, Any]) -> None:
    assert "takes no body" in rejected(method, path, 400, json={"force": True})


def faults(schema: dict[str, Any], valid: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (what is wrong, a body that has only this fault), for each field at each depth."""
    yield f"{where}zork", {**valid, "zork": 1}
    for name, field in schema["properties"].items():
        kind = resolved(field)
        if "properties" in kind:
            inner = valid.get(name) or {}
            yield from ((said, {**valid, name: body}) for said, body in faults(kind, inner, f"{where}{name}."))
        items = resolved(kind.get("items", {}))
        if "properties" in items:
            yield from ((said, {**valid, name: [body]}) for said, body in faults(items, {}, f"{where}{name}[0]."))
        may_be_none = any(one.get("type") == "null" for one in field.get("anyOf", ()))
        for value in WRONG[kind.get("type", "string")]:
            if not (value is None and may_be_none):
                yield f"{where}{name}: {value!r}", {**valid, name: value}


@pytest.mark.parametrize(("path", "schema"), BODIES)
def test_a_wrong_field(path: str, schema: dict[str, Any]) -> None:
    found = list(faults(schema, VALID.get(schema["title"], {})))
    assert len(found) > len(schema["properties"])
    for fault, body in found:
        assert rejected("POST", path, 400, json=body), fault


@pytest.mark.parametrize(("path", "schema"), BODIES)
def test_a_field_given_twice(path: str, schema: dict[str, Any]) -> None:
    """One of the two values would be ignored."""
    valid = {**VALID.get(schema["title"], {})}
    name = next(iter(schema["properties"]))
    twice = json.dumps({name: "a", **valid})[:-1] + f', "{name}": "b"}}'
    assert "twice" in rejected("POST", path, 400, data=twice, content_type="application/json")
