"""One example of every message and record, with every field set, and the bytes that this release writes for it.

``python -m tests.support.wire_examples > tests/data/wire-VERSION.json`` is run once for each release; the files stay, and
``tests/unit/wire/test_compatibility.py`` reads them with the code of today.
"""

from __future__ import annotations

import enum
import json
import sys
import types
import typing
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from stoker.core.model import records
from stoker.core.model.messages import ToClient, ToMaster, ToWorker
from stoker.core.model.values import Artifact, Exit
from stoker.core.model.views import complete
from stoker.wire import codec

DIRECTIONS = {"master": get_args(ToMaster), "worker": get_args(ToWorker), "client": get_args(ToClient)}
RECORDS: dict[str, type[records.Record]] = {
    records.driver_key("driver-20260101000000-0001"): records.DriverRecord,
    records.app_key("app-20260101000000-0001"): records.AppRecord,
    records.executor_key("app-20260101000000-0001", 7): records.ExecutorRecord,
    records.worker_key("worker-20260101000000-h-1"): records.WorkerRecord,
    records.COUNTERS_KEY: records.Counters,
}
# Values for fields that are checked when a value is built: their type alone is not enough.
KNOWN: dict[str, Any] = {
    "driver_id": "driver-20260101000000-0001",
    "app_id": "app-20260101000000-0001",
    "worker_id": "worker-20260101000000-h-1",
    "sha256": "ab" * 32,
    "release": "4.3",
    "main": "name",
    "after": ("driver-20260101000000-0001",),
    "py_files": ("name",),
    "jars": ("name",),
    "url": "",
    "data": b"\x00\xff",
}


def example(kind: Any, name: str = "") -> Any:
    """Return a value of a type, with all its fields set, and different from their defaults where that is allowed."""
    if name in KNOWN:
        return KNOWN[name]
    origin, args = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return example(args[0], name)
    if origin is typing.Literal:
        return args[-1]
    if origin is tuple and args[-1] is not Ellipsis:
        return tuple(example(each, "") for each in args)
    if origin is tuple or origin is list:
        return origin([example(args[0], "")])
    if origin is dict:
        return {"key": "value"}
    if issubclass(kind, enum.Enum):
        return list(kind)[1]
    if issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        fields = {field: example(hints[field], field) for field in kind.__struct_fields__}
        if kind is Artifact:
            fields["name"] = "name"  # the name that ``main`` and others use
        if kind is Exit:
            fields["code"] = None  # a process ends by a signal or with a code
        return kind(**fields)
    simple: dict[type, Any] = {str: "text", int: 7, float: 1.5, bool: True, bytes: b"\x00\xff"}
    return simple[kind]


def main() -> None:
    entries = []
    for direction, kinds in DIRECTIONS.items():
        for kind in kinds:
            value = example(kind)
            body = codec.encode(value)[1]
            entries.append({"to": direction, "type": kind.__name__, "bytes": body.hex(), "value": plain(value)})
    for key, record in RECORDS.items():
        value = example(record)
        body = msgspec.msgpack.encode(value)
        entries.append({"record": key, "type": record.__name__, "bytes": body.hex(), "value": plain(value)})
    json.dump(entries, sys.stdout, indent=1, sort_keys=True)
    print()


def plain(value: Any) -> Any:
    """Return the value as JSON has it: with all fields, and with the values of enumerations."""
    return json.loads(msgspec.json.encode(complete_records(value)))


def complete_records(value: Any) -> Any:
    """Like ``complete``, also for the lists that records have."""
    if isinstance(value, list):
        return [complete_records(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return {name: complete_records(field) for name, field in msgspec.structs.asdict(value).items()}
    return complete(value)


if __name__ == "__main__":
    main()
