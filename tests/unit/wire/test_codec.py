"""``wire.codec`` against any bytes of a peer: they decode to a message or raise ProtocolError, and never slowly."""

from __future__ import annotations

import inspect
import time
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stoker.core.model import messages
from stoker.core.model.messages import (
    GetStatus,
    LaunchDriver,
    LogData,
    Message,
    RegisterWorker,
    SubmitDriver,
    Submitted,
    ToClient,
    ToMaster,
    ToWorker,
    UploadChunk,
    roles_allowed,
)
from stoker.core.model.states import DriverState, Role
from stoker.core.model.values import Artifact, DriverDescription, DriverReport
from stoker.errors import ProtocolError
from stoker.wire import codec

DECODERS: dict[str, codec.Decoder[Any]] = {
    "master": codec.to_master,
    "worker": codec.to_worker,
    "client": codec.to_client,
}
DIRECTIONS = {"master": get_args(ToMaster), "worker": get_args(ToWorker), "client": get_args(ToClient)}
TEXT = st.text(max_size=20)

DRIVER = DriverDescription(
    kind="python",
    main="a.py",
    args=("1", "ü", ""),
    env={"SPARK_X": "y"},
    artifacts=(Artifact(name="a.py", sha256="0" * 64, size=3), Artifact(name="b.zip", url="https://h/b.zip")),
    py_files=("b.zip",),
    supervise=True,
)
EXAMPLES: list[tuple[str, Message]] = [
    ("master", GetStatus(request=1)),
    ("master", SubmitDriver(request=2, token="t", driver=DRIVER, watch=True)),
    ("master", UploadChunk(request=3, sha256="0" * 64, size=9, offset=0, data=bytes(range(256)))),
    (
        "master",
        RegisterWorker(
            worker_id="worker-20260101000000-h-1",
            boot="b",
            host="h",
            port=1,
            cores=4,
            memory_mib=1024,
            drivers=(
                DriverReport(
                    driver_id="driver-20260101000000-0000",
                    attempt=1,
                    state=DriverState.RUNNING,
                    driver=DRIVER,
                    pid=5,
                ),
            ),
        ),
    ),
    ("worker", LaunchDriver(epoch=5, driver_id="driver-20260101000000-0000", attempt=2, driver=DRIVER)),
    ("client", Submitted(request=2, driver_id="driver-20260101000000-0000")),
    ("client", LogData(request=1, offset=2**40, data=b"\xff\x00")),
]


def decode_any(name: str, frames: list[bytes]) -> Any:
    """Return the decoded message, or None for a rejected one; any other exception fails the test."""
    try:
        message = DECODERS[name].decode(frames)
    except ProtocolError as error:
        assert "\n" not in str(error)
        return None
    assert isinstance(message, DIRECTIONS[name])
    return message


@pytest.mark.parametrize(("direction", "message"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_round_trip(direction: str, message: Message) -> None:
    frames = codec.encode(message)
    assert len(frames) == 2
    assert DECODERS[direction].decode(frames) == message
    assert DECODERS[direction].decode([memoryview(frame) for frame in frames]) == message


def strategy(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: field_strategy(field.type) for field in msgspec.structs.fields(kind)})


def field_strategy(annotation: Any) -> st.SearchStrategy[Any]:
    """Any legal value of a field; values that validate themselves come ready-made."""
    if annotation is DriverDescription:
        return st.just(DRIVER)
    if annotation in {int, float, str, bytes, bool}:
        return {
            int: st.integers(-(2**63), 2**63),
            float: st.floats(allow_nan=False),
            str: TEXT,
            bytes: st.binary(max_size=50),
            bool: st.booleans(),
        }[annotation]
    return st.nothing()


FLAT = sorted(
    (
        (direction, kind)
        for direction, kinds in DIRECTIONS.items()
        for kind in kinds
        if not any(field_strategy(field.type).is_empty for field in msgspec.structs.fields(kind) if field.required)
    ),
    key=lambda pair: (pair[0], pair[1].__name__),
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.data())
def test_round_trip_of_random_messages(data: st.DataObject) -> None:
    direction, kind = data.draw(st.sampled_from(FLAT))
    fields = {
        field.name: data.draw(field_strategy(field.type))
        for field in msgspec.structs.fields(kind)
        if not field_strategy(field.type).is_empty
    }
    message = kind(**fields)
    assert DECODERS[direction].decode(codec.encode(message)) == message


def test_most_messages_are_in_the_random_round_trip() -> None:
    assert len(FLAT) >= 25


@settings(derandomize=True, max_examples=500, deadline=None)
@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=300))
def test_random_bytes(name: str, body: bytes) -> None:
    decode_any(name, [codec.HEADER, body])


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=20) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(st.sampled_from(sorted(DECODERS)), st.data())
def test_well_formed_msgpack_of_the_wrong_shape(name: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(DIRECTIONS[name]))
    names = st.sampled_from([field.name for field in msgspec.structs.fields(kind)] or ["x"])
    body = data.draw(st.dictionaries(names, JSONISH, max_size=6)) | {"type": kind.__name__}
    decode_any(name, [codec.HEADER, msgspec.msgpack.encode(body)])


@settings(derandomize=True, max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(EXAMPLES), st.data())
def test_mutated_messages(example: tuple[str, Message], data: st.DataObject) -> None:
    body = bytearray(codec.encode(example[1])[1])
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(body)))
        change = data.draw(st.sampled_from(["flip", "cut", "insert", "end"]))
        if change == "flip" and where < len(body):
            body[where] ^= data.draw(st.integers(1, 255))
        elif change == "cut":
            del body[where : where + data.draw(st.integers(1, 8))]
        elif change == "insert":
            body[where:where] = data.draw(st.binary(max_size=8))
        else:
            del body[where:]
    for name in DECODERS:
        decode_any(name, [codec.HEADER, bytes(body)])


@pytest.mark.parametrize(("direction", "message"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_every_truncation_is_refused(direction: str, message: Message) -> None:
    body = codec.encode(message)[1]
    for length in range(len(body)):
        assert decode_any(direction, [codec.HEADER, body[:length]]) is None


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=10), max_size=5))
def test_frames_that_are_no_message(frames: list[bytes]) -> None:
    for name in DECODERS:
        decode_any(name, frames)


@pytest.mark.parametrize("header", [b"", b"\x00", b"\x02", b"\x01\x01", b"x" * 1000])
def test_another_version_is_refused_with_what_to_do(header: bytes) -> None:
    body = codec.encode(GetStatus(request=1))[1]
    with pytest.raises(ProtocolError, match="upgrade the older side"):
        codec.to_master.decode([header, body])


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01", b"\x81\xa4type"])
@pytest.mark.parametrize("depth", [100, 100_000, 5_000_000])
def test_deep_nesting(opening: bytes, depth: int) -> None:
    nested = opening * depth + b"\xc0"
    wrapped = b"\x83\xa4type\xa9GetStatus\xa7request\x01\xa1x" + nested  # in a field that is skipped
    for body in nested, wrapped:
        for name in DECODERS:
            decode_any(name, [codec.HEADER, body[: codec.MAX_BODY]])


@pytest.mark.parametrize(
    "head", [b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]
)
def test_announced_sizes_are_not_believed(head: bytes) -> None:
    """A few bytes that promise 4 GiB cost neither the memory nor the time."""
    field = b"\x82\xa4type\xacSubmitDriver\xa6driver" + head
    listed = b"\x82\xa4type\xaeRegisterWorker\xa7drivers" + head
    started = time.perf_counter()
    for body in head, field, listed:
        assert decode_any("master", [codec.HEADER, body]) is None
    assert time.perf_counter() - started < 1


def test_the_size_limit_on_both_sides() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        codec.encode(UploadChunk(request=1, sha256="0" * 64, size=1, offset=0, data=bytes(codec.MAX_BODY)))
    with pytest.raises(ProtocolError, match="over the limit"):
        codec.to_master.decode([codec.HEADER, bytes(codec.MAX_BODY + 1)])
    large = UploadChunk(request=1, sha256="0" * 64, size=1, offset=0, data=bytes(codec.MAX_BODY - 200))
    assert codec.to_master.decode(codec.encode(large)) == large


def test_fields_of_a_newer_release_are_skipped() -> None:
    body = msgspec.msgpack.encode({"type": "GetStatus", "request": 1, "id": "x", "since": [1, {"a": None}]})
    assert codec.to_master.decode([codec.HEADER, body]) == GetStatus(request=1, id="x")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "GetStatus"},  # a required field is missing
        {"type": "GetStatus", "request": "1"},  # no coercion
        {"type": "GetStatus", "request": 1.5},
        {"type": "GetStatus", "request": True},
        {"request": 1},
        {"type": "Submitted", "request": 1, "driver_id": "d"},  # another direction
        {"type": "os.system", "request": 1},
        {"type": "Message"},
        {"type": "SubmitDriver", "request": 1, "token": "t", "driver": {"kind": "python", "main": "missing.py"}},
        {
            "type": "SubmitDriver",
            "request": 1,
            "token": "t",
            "driver": {"kind": "python", "main": "../a", "artifacts": [{"name": "../a", "url": "file:/a"}]},
        },
    ],
)
def test_what_is_not_a_message_to_a_master(body: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        codec.to_master.decode([codec.HEADER, msgspec.msgpack.encode(body)])


def test_every_message_to_a_master_has_its_roles() -> None:
    for kind in DIRECTIONS["master"]:
        roles = roles_allowed(kind)
        assert roles in ({Role.WORKER}, {Role.CLIENT, Role.ADMIN}, {Role.ADMIN}), kind
    assert Role.WORKER in roles_allowed(RegisterWorker)
    assert Role.WORKER not in roles_allowed(SubmitDriver)


def test_the_vocabulary_is_in_the_directions() -> None:
    declared = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
    }
    assert declared == {kind for kinds in DIRECTIONS.values() for kind in kinds}


def test_annotations_of_messages_are_values_which_a_decoder_need_not_compile() -> None:
    seen, todo = set[type[Any]](), [kind for kinds in DIRECTIONS.values() for kind in kinds]
    while todo:
        kind = todo.pop()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
            seen.add(kind)
            own = inspect.get_annotations(kind)
            assert [name for name, what in own.items() if isinstance(what, str)] == [], kind
            todo += [part for what in own.values() for part in (what, *get_args(what))]
    assert len(seen) > 60
