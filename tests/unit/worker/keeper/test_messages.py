"""The lines between daemon and keeper: read as they were meant, or rejected with the place of the error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stoker.worker.keeper.messages import encode, kind_of, read_by_daemon, read_by_keeper

SPAWN: dict[str, Any] = {
    "op": "spawn", "key": "a", "argv": ["/bin/true"], "env": {"A": "1"}, "cwd": "/", "stdout": "/o", "stderr": "/e",
    "header": "", "note": "n",
}  # fmt: skip
ROLLING = {"strategy": "size", "interval": 60, "max_bytes": 1, "max_files": -1, "compress": False}


@pytest.mark.parametrize(
    "message",
    [
        SPAWN,
        {**SPAWN, "kind": "class-data", "rolling": ROLLING},
        {**SPAWN, "of_a_later_release": [1]},
        {"op": "stop", "key": "a", "grace": 0},
        {"op": "hello"},
    ],
)
def test_a_message_is_read_as_it_was_written(message: dict[str, Any]) -> None:
    assert read_by_keeper(json.dumps(message).encode()) == message


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({**SPAWN, "argv": "/bin/true"}, "spawn.argv cannot be"),
        ({**SPAWN, "argv": ["a", 1]}, r"spawn.argv\[1\] cannot be 1"),
        ({**SPAWN, "env": {"A": None}}, "spawn.env.A cannot be null"),
        ({**SPAWN, "kind": "tea"}, "spawn.kind cannot be"),
        ({**SPAWN, "rolling": {**ROLLING, "compress": 1}}, "spawn.rolling.compress cannot be 1"),
        ({"op": "stop", "key": "a", "grace": True}, "stop.grace cannot be true"),
        ({"op": "stop", "key": "a"}, "stop lacks grace"),
        ({"op": None}, "an object with an 'op'"),
        ([], "an object with an 'op'"),
    ],
)
def test_a_malformed_message_is_refused(message: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_by_keeper(json.dumps(message).encode())


def test_an_operation_of_a_later_release_is_skipped() -> None:
    assert read_by_keeper(b'{"op": "dance"}') is None
    assert read_by_daemon(b'{"op": "danced", "key": 1}') is None


def test_what_a_keeper_of_0_1_0_keeps_is_understood() -> None:
    """It gives no kind back; the key of class data's processes says it."""
    kept = {"pid": 1, "note": "", "started": 1.5, "exit": {"signal": 9}}
    line = json.dumps({"op": "jobs", "jobs": [{"key": "class-data/x", **kept}, {"key": "app-1/0", **kept}]}).encode()
    found = read_by_daemon(line)
    assert found is not None and found["op"] == "jobs"
    assert [kind_of(entry) for entry in found["jobs"]] == ["class-data", "job"]


def test_an_exit_keeps_its_fields() -> None:
    found = read_by_daemon(encode({"op": "exited", "key": "a", "signal": 9, "oom": True, "kind": "job"}))
    assert found == {"op": "exited", "key": "a", "signal": 9, "oom": True, "kind": "job"}
