"""Messages and records of earlier releases are read as they were meant, and those releases can read what we write.

``tests/data/wire-VERSION.json`` has the bytes that a release wrote for one example of every message and record, and the
values in them (``python -m tests.support.wire_examples`` made it, with that release's code).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stoker.recovery.records import decode_record, encode_record
from stoker.wire import codec
from tests.support.wire_examples import plain

DECODERS: dict[str, codec.Decoder[Any]] = {
    "master": codec.to_master,
    "worker": codec.to_worker,
    "client": codec.to_client,
}
RELEASES = sorted((Path(__file__).parents[2] / "data").glob("wire-*.json"))
ENTRIES = [
    pytest.param(entry, id=f"{path.stem}-{entry.get('to', 'record')}-{entry['type']}")
    for path in RELEASES
    for entry in json.loads(path.read_text())
]


def read(entry: dict[str, Any]) -> Any:
    body = bytes.fromhex(entry["bytes"])
    return (
        decode_record(entry["record"], body)
        if "record" in entry
        else DECODERS[entry["to"]].decode([codec.HEADER, body])
    )


def contains(now: Any, then: Any) -> bool:
    """The old fields have the same values now; new fields may have been added."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(name in now and contains(now[name], value) for name, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(contains, now, then))
    return bool(now == then)


def test_there_is_a_release_to_compare_with() -> None:
    assert [path.stem for path in RELEASES][:1] == ["wire-0.1.0"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_an_earlier_release_wrote_is_read(entry: dict[str, Any]) -> None:
    assert contains(plain(read(entry)), entry["value"])


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_earlier_release_can_read_what_we_write(entry: dict[str, Any]) -> None:
    """The same tag and the same fields, of the same types: a release skips fields that it does not know."""
    value = read(entry)
    ours = msgspec.msgpack.decode(encode_record(value) if "record" in entry else codec.encode(value)[1])
    theirs = msgspec.msgpack.decode(bytes.fromhex(entry["bytes"]))
    assert contains(ours, theirs)
