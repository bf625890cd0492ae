"""Bodies of REST submissions as Spark 4.3's server takes them: 160 were sent to both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stoker.web.rest.protocol import parse_create

REQUEST = {
    "action": "CreateSubmissionRequest",
    "appResource": "file:/srv/app.jar",
    "mainClass": "org.example.Main",
    "clientSparkVersion": "4.3.0",
    "appArgs": ["A"],
    "environmentVariables": {},
    "sparkProperties": {},
}


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({"appArgs": None}, ["appArgs"]),
        ({"zork": None, "message": None}, ["zork", "message"]),
        ({"sparkProperties": None, "environmentVariables": None, "message": "hi"}, []),
    ],
)
def test_null_fields(change: dict[str, Any], unknown: list[str]) -> None:
    request, named = parse_create(json.dumps({**REQUEST, **change}).encode())
    assert named == unknown
    assert (request.sparkProperties, request.environmentVariables) == ({}, {})


@pytest.mark.parametrize("rest", [b" x", b"{}", b"]", b"\r\n"])
def test_what_follows_the_request_is_ignored(rest: bytes) -> None:
    request, _ = parse_create(b"\n " + json.dumps(REQUEST).encode() + rest)
    assert request.appArgs == ["A"]


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    request, _ = parse_create(json.dumps(REQUEST).encode().replace(b'"A"', b'"\xff"'))
    assert request.appArgs == ["\ufffd"]
