"""Java streams as data: those that real clients sent, those that Stoker writes; any other bytes at most raise an error."""

from __future__ import annotations

import contextlib
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.gateway import java_stream as js
from stoker.gateway import scala
from stoker.gateway.java_writer import ClassSpec, Constant, New, Writable, encode_text, write
from tests.support.spark import FOLDER, VERSIONS, registration

STRING = "Ljava/lang/String;"
_FIRST = struct.pack(">i", js.FIRST_HANDLE)  # a reference to what was read first


def _class(name: str, fields: bytes = b"\x00\x00") -> bytes:
    return b"r" + struct.pack(">H", len(name)) + name.encode() + bytes(8) + b"\x02" + fields + b"x"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_registration_is_read_whole(version: str) -> None:
    _, message = registration(version)
    described = message.fields["appDescription"]
    assert isinstance(described, js.JavaObject)
    command = described.fields["command"]
    assert isinstance(command, js.JavaObject)
    assert described.fields["name"] == "pyspark-shell"
    assert scala.option(described.fields["maxCores"]) == 3
    assert scala.option(described.fields["initialExecutorLimit"]) is None
    assert scala.text_map(command.fields["environment"])["SPARK_USER"]
    assert "{{EXECUTOR_ID}}" in scala.texts(command.fields["arguments"])
    assert scala.texts(command.fields["classPathEntries"]) == []
    assert any(option.startswith("-Dspark.driver.port=") for option in scala.texts(command.fields["javaOpts"]))


def collections(scala_version: str) -> list[tuple[str, int, str, bytes]]:
    """(map or seq, its size, how Scala calls it, its bytes), as tests/data/spark/Collections.scala writes them."""
    lines = (FOLDER / f"collections-{scala_version}.txt").read_text().splitlines()
    found = []
    for line in lines:
        kind, name, hexadecimal = line.split()
        what, _, size = kind.partition("-")
        found.append((what, int(size), name, bytes.fromhex(hexadecimal)))
    return found


# Which no Spark sends, and which write themselves in ways of their own: an error, and never an empty collection.
UNREADABLE = {"2.12": {"ListMap", "ListBuffer", "Queue", "Stream"}, "2.13": {"Stream"}}


@pytest.mark.parametrize("version", UNREADABLE)
def test_every_collection_of_scala_is_read_whole_or_is_an_error(version: str) -> None:
    assert len(collections(version)) > 50
    for what, size, name, written in collections(version):
        expected: dict[str, str] | list[str] = [f"s{number}" for number in range(1, size + 1)]
        if what == "map":
            expected = {f"k{number}": f"v{number}" for number in range(1, size + 1)}
        if name in UNREADABLE[version]:
            with pytest.raises(js.JavaStreamError):
                scala.texts(js.parse(written)) if what == "seq" else scala.text_map(js.parse(written))
        else:
            value = js.parse(written)
            assert (scala.text_map(value) if what == "map" else scala.texts(value)) == expected, name


def test_an_unknown_class_is_named() -> None:
    unknown = js.JavaObject(js.JavaClass("my.Map", 1))
    for read in (scala.text_map, scala.texts):
        with pytest.raises(js.JavaStreamError, match=r"unsupported class my\.Map of a"):
            read(unknown)


def test_an_empty_value_is_a_value() -> None:
    pair = js.JavaObject(js.JavaClass("scala.Tuple2", 1), {"_1": "K", "_2": ""})
    proxy = js.JavaObject(js.JavaClass("scala.collection.generic.DefaultSerializationProxy", 1), {}, [pair])
    assert scala.text_map(proxy) == {"K": ""}


def test_what_is_written_is_read() -> None:
    parent = ClassSpec("a.Parent", 7, (("I", "number"),))
    spec = ClassSpec(
        "a.Child", -3, (("J", "long"), ("Z", "flag"), (STRING, "text"), ("La/E;", "unit")), parent, writes=True
    )
    values: dict[str, Writable] = {
        "number": -5,
        "long": 2**40,
        "flag": True,
        "text": "Zoë \0 🔥",
        "unit": Constant("a.E", "SECONDS"),
    }
    read = js.parse(write(New(spec, values)))
    assert isinstance(read, js.JavaObject)
    assert read.cls.name == "a.Child"
    assert [cls.uid for cls in read.cls.lineage] == [7, -3]
    unit = read.fields.pop("unit")
    assert isinstance(unit, js.JavaEnum) and unit.constant == "SECONDS"
    assert read.fields == {"number": -5, "long": 2**40, "flag": True, "text": "Zoë \0 🔥"}


@given(st.text())
def test_texts_survive_javas_utf8(text: str) -> None:
    assert js.parse(write(text)) == text


def test_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(js.JavaStreamError):
        js.parse(js.MAGIC + b"t\x00\x03" + "\ud800".encode("utf-8", "surrogatepass"))
    assert encode_text("\ud800") == b"?"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "magic"),
        (b"\x80\x04N.", "magic"),  # a pickle
        (js.MAGIC, "incomplete"),
        (js.MAGIC + b"pp", "follow"),
        (js.MAGIC + b"\x7b", "0x7b"),  # an exception in the stream
        (js.MAGIC + b"\x7d", "0x7d"),  # a dynamic proxy
        (js.MAGIC + b"q\x00\x7e\x00\x05", "unknown object"),
        (js.MAGIC + b"sp", "no class"),
        (js.MAGIC + b"t\xff\xffshort", "incomplete"),
        (js.MAGIC + b"|" + struct.pack(">q", 2**62), "incomplete"),
        (js.MAGIC + b"|" + struct.pack(">q", -1), "incomplete"),
        (
            js.MAGIC + b"ur\x00\x02[I" + bytes(8) + b"\x02\x00\x00xp" + struct.pack(">i", 2**31 - 1),
            "longer than the stream",
        ),
        (js.MAGIC + b"ur\x00\x02[I" + bytes(8) + b"\x02\x00\x00xp" + struct.pack(">i", -1), "longer than the stream"),
        (js.MAGIC + b"sr\x00\x01A" + bytes(8) + b"\x04\x00\x00xp", "a format of its own"),  # Externalizable of old
        (js.MAGIC + b"s" + _class("A") + b"q" + _FIRST, "description is incomplete"),  # its own parent
        (
            js.MAGIC + b"s" + _class("A") + _class("B") + b"q" + _FIRST,
            "description is incomplete",
        ),  # its parent's parent
    ],
)
def test_malformed_streams_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(js.JavaStreamError, match=why):
        js.parse(data)


def test_depth_is_bounded() -> None:
    """An object in an object in an object ...: each names the class of the first."""
    first = b"s" + _class("A", b"\x00\x01L\x00\x01at\x00\x01x") + b"p"
    again = b"sq" + struct.pack(">i", js.FIRST_HANDLE)
    assert isinstance(js.parse(js.MAGIC + first + again * (js.MAX_DEPTH - 1) + b"p"), js.JavaObject)
    with pytest.raises(js.JavaStreamError, match="deep"):
        js.parse(js.MAGIC + first + again * 100_000 + b"p")


def test_a_chain_of_classes_is_bounded() -> None:
    with pytest.raises(js.JavaStreamError, match="deep"):
        js.parse(js.MAGIC + b"s" + _class("A") * 100_000 + b"p")


def test_the_number_of_objects_is_bounded() -> None:
    many = js.MAX_STEPS + 1
    array = b"ur\x00\x02[L" + bytes(8) + b"\x02\x00\x00xp" + struct.pack(">i", many) + b"t\x00\x00" * many
    with pytest.raises(js.JavaStreamError, match="more than"):
        js.parse(js.MAGIC + array)


@pytest.mark.parametrize("more", [0, 1])
def test_the_number_of_classes_is_bounded(more: int) -> None:
    many = js.MAX_CLASSES - 1 + more  # and that of the array
    array = b"ur\x00\x02[L" + bytes(8) + b"\x02\x00\x00xp" + struct.pack(">i", many)
    stream = js.MAGIC + array + b"".join(b"s" + _class(f"A{number}") + b"p" for number in range(many))
    if more:
        with pytest.raises(js.JavaStreamError, match=f"more than {js.MAX_CLASSES} classes"):
            js.parse(stream)
    else:
        js.parse(stream)


def test_arrays_of_numbers() -> None:
    for kind, numbers in (
        ("I", [1, -2]),
        ("J", [1 << 40]),
        ("S", [-1]),
        ("C", [65535]),
        ("Z", [True, False]),
        ("D", [0.5]),
    ):
        head = js.MAGIC + b"ur\x00\x02[" + kind.encode() + bytes(8) + b"\x02\x00\x00xp"
        letter = {"I": "i", "J": "q", "S": "h", "C": "H", "Z": "?", "D": "d"}[kind]
        body = struct.pack(f">i{len(numbers)}{letter}", len(numbers), *numbers)
        assert js.parse(head + body) == numbers
        with pytest.raises(js.JavaStreamError, match=r"incomplete|longer"):
            js.parse(head + body[:-1])
    many = struct.pack(">i", js.MAX_STEPS) + bytes(4 * js.MAX_STEPS)
    with pytest.raises(js.JavaStreamError, match="elements"):
        js.parse(js.MAGIC + b"ur\x00\x02[I" + bytes(8) + b"\x02\x00\x00xp" + many)


def test_a_cycle_is_only_data() -> None:
    node = b"s" + _class("A", b"\x00\x01L\x00\x01at\x00\x01x") + b"pq" + struct.pack(">i", js.FIRST_HANDLE + 2)
    read = js.parse(js.MAGIC + node)
    assert isinstance(read, js.JavaObject) and read.fields["a"] is read
    read.fields["array"] = read
    with pytest.raises(js.JavaStreamError):
        scala.sequence(read)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_raise(data: bytes) -> None:
    with contextlib.suppress(js.JavaStreamError):
        js.parse(js.MAGIC + data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(VERSIONS), st.data())
def test_no_damage_to_a_real_message_does_more_than_raise(version: str, data: st.DataObject) -> None:
    payload = bytearray(registration(version)[0].payload)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(4, len(payload) - 1))
        change = data.draw(st.sampled_from(("flip", "cut", "insert")))
        if change == "flip":
            payload[at] = data.draw(st.integers(0, 255))
        elif change == "cut":
            del payload[at : at + data.draw(st.integers(1, 20))]
        else:
            payload[at:at] = data.draw(st.binary(max_size=8))
        if len(payload) < 6:
            break
    started = time.process_time()
    with contextlib.suppress(js.JavaStreamError):
        js.parse(bytes(payload))
    assert time.process_time() - started < 5
