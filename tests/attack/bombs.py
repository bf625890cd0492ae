"""Small Java streams that were, or could be, expensive to read: each is the worst of its kind that fits into a frame."""

from __future__ import annotations

import struct
from collections.abc import Callable

from stoker.gateway import java_stream as js
from tests.attack.java_graphs import ANY, TEXT, Stream

MOST = 1 << 20  # bytes of a frame


def own_parent() -> bytes:
    stream = Stream()
    stream.data.append(js.OBJECT)
    stream.class_("A", parent=stream.reference)
    return bytes(stream.data)


def each_others_parents() -> bytes:
    stream = Stream()
    stream.data.append(js.OBJECT)
    stream.class_("A", parent=lambda a: _ignore(stream.class_("B", parent=lambda _: stream.reference(a))))
    return bytes(stream.data)


def object_of_an_unfinished_class() -> bytes:
    """Which is written in the description of that class, before its parent is named."""
    stream = Stream()
    stream.data += bytes([js.OBJECT, js.CLASSDESC])
    stream.text(b"A")
    own = stream.handle()
    stream.data += struct.pack(">qBH", 1, js.SC_SERIALIZABLE, 0)
    stream.data.append(js.OBJECT)
    stream.reference(own)
    return bytes(stream.data + bytes([js.ENDBLOCKDATA, js.NULL]))


def objects_of_a_deep_class(count: int = 49_000, depth: int = 60) -> bytes:
    stream = Stream()

    def parent(left: int) -> None:
        if left:
            stream.class_("P", parent=lambda _: parent(left - 1))
        else:
            stream.null()

    stream.array_head(ANY, count)
    stream.data.append(js.OBJECT)
    own = stream.class_("A", parent=lambda _: parent(depth))
    stream.data += (struct.pack(">BBi", js.OBJECT, js.REFERENCE, own)) * (count - 1)
    return bytes(stream.data)


def many_deep_classes() -> bytes:
    """Each one a child of the same deep one."""
    stream = Stream()
    stream.array_head(ANY, 15_000)
    own = 0
    for depth in range(15_000):
        stream.data.append(js.CLASS)
        own = stream.class_("A", parent=None if depth == 0 else lambda _, above=own: stream.reference(above))  # type: ignore[misc]
        if depth % 60 == 0:
            own = stream.classes[0][0]
    return bytes(stream.data)


def many_elements() -> bytes:
    stream = Stream()
    stream.array_head(ANY, MOST - 100)
    stream.data += bytes([js.NULL]) * (MOST - 100)
    return bytes(stream.data)


def many_numbers() -> bytes:
    stream = Stream()
    stream.array_head("Z", MOST - 100)
    stream.data += bytes(MOST - 100)
    return bytes(stream.data)


def many_fields() -> bytes:
    stream = Stream()
    stream.data.append(js.OBJECT)
    stream.class_("A", tuple(("B", "") for _ in range(65_535)))
    return bytes(stream.data + bytes(65_535))


def long_texts() -> bytes:
    stream = Stream()
    stream.array_head(ANY, 4)
    for _ in range(4):
        stream.long_string(b"\xed\xa0\x80\xed\xb0\x80" * (MOST // 30))
    return bytes(stream.data)


def _kill_executors(write_ids: Callable[[Stream], None]) -> bytes:
    stream = Stream()
    stream.data.append(js.OBJECT)
    stream.class_("org.apache.spark.deploy.DeployMessages$KillExecutors", ((TEXT, "appId"), (ANY, "executorIds")))
    stream.others.append(stream.handle())
    stream.string(b"app-1")
    write_ids(stream)
    return bytes(stream.data)


def _request_executors(write_map: Callable[[Stream], None]) -> bytes:
    stream = Stream()
    stream.data.append(js.OBJECT)
    name = "org.apache.spark.deploy.DeployMessages$RequestExecutors"
    stream.class_(name, ((TEXT, "appId"), (ANY, "resourceProfileToTotalExecs")))
    stream.others.append(stream.handle())
    stream.string(b"app-1")
    write_map(stream)
    return bytes(stream.data)


def vector(refs: int = 32, depth: int = 6) -> bytes:
    """A Vector of Scala 2.12, an array of arrays of arrays: always the same one, so ``refs ** depth`` elements."""

    def write_array(stream: Stream, level: int) -> None:
        stream.array_head(ANY, refs)
        if level == 0:
            for _ in range(refs):
                stream.string(b"7")
            return
        first = stream.next_handle + 1  # behind the class of the array
        write_array(stream, level - 1)
        for _ in range(refs - 1):
            stream.reference(first)

    def write(stream: Stream) -> None:
        stream.data.append(js.OBJECT)
        numbers = (("I", "depth"), ("I", "endIndex"), ("I", "startIndex"))
        stream.class_("scala.collection.immutable.Vector", (*numbers, (ANY, "display0"), (ANY, f"display{depth - 1}")))
        stream.others.append(stream.handle())
        stream.data += struct.pack(">iii", depth, refs**depth, 0)
        stream.null()
        write_array(stream, depth - 1)

    return _kill_executors(write)


def one_text_many_times() -> bytes:
    def write(stream: Stream) -> None:
        stream.array_head(ANY, 15_000)
        text = stream.string(b"9" * 65_000)
        for _ in range(14_999):
            stream.reference(text)

    return _kill_executors(write)


def one_wide_pair_many_times() -> bytes:
    def write(stream: Stream) -> None:
        stream.data.append(js.OBJECT)
        flags = js.SC_SERIALIZABLE | js.SC_WRITE_METHOD
        stream.class_("scala.collection.generic.DefaultSerializationProxy", flags=flags)
        stream.others.append(stream.handle())
        stream.data.append(js.OBJECT)
        stream.class_("scala.Tuple2", tuple(("B", f"field{number}") for number in range(4000)))
        stream.others.append(stream.handle())
        stream.data += bytes(4000)
        for _ in range(10_000):
            stream.reference(stream.others[-1])
        stream.data.append(js.ENDBLOCKDATA)

    return _request_executors(write)


def wide_map_of_long_names() -> bytes:
    """Names that a pattern for ``$key1`` has to search."""

    def write(stream: Stream) -> None:
        stream.data.append(js.OBJECT)
        stream.class_("my.Map", tuple(("B", "$key" * 100 + str(number)) for number in range(2000)))
        stream.others.append(stream.handle())
        stream.data += bytes(2000)

    return _request_executors(write)


def ring_of_wrappers() -> bytes:
    def write(stream: Stream) -> None:
        stream.data.append(js.OBJECT)
        stream.class_("scala.collection.immutable.Map$WithDefault", ((ANY, "underlying"),))
        stream.others.append(stream.handle())
        stream.reference(stream.others[-1])

    return _request_executors(write)


def deep_annotations() -> bytes:
    """Objects in the descriptions of the classes of objects in descriptions ..."""
    stream = Stream()
    for _ in range(20_000):
        stream.data += bytes([js.OBJECT, js.CLASSDESC])
        stream.text(b"A")
        stream.data += struct.pack(">qBH", 1, js.SC_SERIALIZABLE, 0)
    return bytes(stream.data)


def small() -> bytes:
    """As many as possible: the cost is in their number."""
    return _kill_executors(lambda stream: stream.null())


BOMBS = (
    own_parent, each_others_parents, object_of_an_unfinished_class, objects_of_a_deep_class, many_deep_classes,
    many_elements, many_numbers, many_fields, long_texts, vector, one_text_many_times, one_wide_pair_many_times,
    wide_map_of_long_names, ring_of_wrappers, deep_annotations,
)  # fmt: skip


def _ignore(_: object) -> None:
    return None
