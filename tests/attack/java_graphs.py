"""Java streams built to be expensive: graphs of classes and objects with cycles, depth and sharing, by seed.

Damaging real streams, which tests/unit does, hardly ever makes a reference that is valid and goes to the wrong place. Here
every reference is valid: to a class, an object, or something whose description is still being written.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from stoker.gateway import java_stream as js

_MESSAGE = "org.apache.spark.deploy.DeployMessages$"
TEXT = "Ljava/lang/String;"
ANY = "Ljava/lang/Object;"
# Classes that the gateway looks into, with the fields it looks at.
KNOWN: dict[str, tuple[str, ...]] = {
    _MESSAGE + "RegisterApplication": ("appDescription", "driver"),
    _MESSAGE + "RequestSubmitDriver": ("driverDescription",),
    _MESSAGE + "RequestExecutors": ("appId", "resourceProfileToTotalExecs"),
    _MESSAGE + "KillExecutors": ("appId", "executorIds"),
    _MESSAGE + "MasterChangeAcknowledged": ("appId",),
    "org.apache.spark.deploy.ApplicationDescription": ("command", "defaultProfile", "name", "user", "maxCores", "appUiUrl"),
    "org.apache.spark.deploy.Command": (
        "arguments", "environment", "mainClass", "javaOpts", "classPathEntries", "libraryPathEntries",
    ),
    "org.apache.spark.deploy.DriverDescription": ("command", "jarUrl"),
    "scala.Tuple2": ("_1", "_2"),
    "scala.Some": ("value",),
    "scala.collection.immutable.Map$Map4": ("key1", "value1", "key2", "value2", "key3", "value3", "key4", "value4"),
    "scala.collection.generic.DefaultSerializationProxy": ("factory",),
    "scala.collection.immutable.Map$WithDefault": ("underlying",),
    "scala.collection.immutable.Vector": ("display0", "display1", "display2", "display5"),
    "scala.collection.immutable.TreeMap": ("tree",),
    "scala.collection.immutable.RedBlackTree$BlackTree": ("key", "value", "left", "right"),
    "scala.collection.mutable.ArrayBuffer": ("array",),
    "java.util.LinkedHashMap": (),
}  # fmt: skip
UIDS = {  # of Spark 4
    _MESSAGE + "RegisterApplication": 1314361325537467148,
    _MESSAGE + "RequestSubmitDriver": -4723813690162202536,
}
TEXTS = frozenset({"appId", "mainClass", "name", "user", "jarUrl"})


class Stream:
    """Writes a stream element by element. ``classes`` and ``others`` are the handles of what has been written."""

    def __init__(self) -> None:
        self.data = bytearray(js.MAGIC)
        self.classes: list[tuple[int, str, tuple[tuple[str, str], ...], bool]] = []  # handle, name, fields, writes
        self.others: list[int] = []
        self.next_handle = js.FIRST_HANDLE

    def handle(self) -> int:
        self.next_handle += 1
        return self.next_handle - 1

    def text(self, text: bytes) -> None:
        self.data += struct.pack(">H", len(text)) + text

    def string(self, text: bytes) -> int:
        self.data += bytes([js.STRING])
        self.text(text)
        self.others.append(self.handle())
        return self.others[-1]

    def long_string(self, text: bytes) -> None:
        self.data += struct.pack(">Bq", js.LONGSTRING, len(text)) + text
        self.others.append(self.handle())

    def reference(self, handle: int) -> None:
        self.data += struct.pack(">Bi", js.REFERENCE, handle)

    def null(self) -> None:
        self.data.append(js.NULL)

    def class_(
        self,
        name: str,
        fields: tuple[tuple[str, str], ...] = (),
        *,
        parent: Callable[[int], None] | None = None,
        flags: int = js.SC_SERIALIZABLE,
    ) -> int:
        """``parent`` writes the class above it; it is given this class's own handle."""
        self.data.append(js.CLASSDESC)
        self.text(name.encode())
        own = self.handle()
        self.data += struct.pack(">qBH", UIDS.get(name, 1), flags, len(fields))
        for kind, field in fields:
            self.data += kind[0].encode()
            self.text(field.encode())
            if len(kind) > 1:
                self.string(kind.encode())
        self.data.append(js.ENDBLOCKDATA)
        if parent is None:
            self.null()
        else:
            parent(own)
        self.classes.append((own, name, fields, bool(flags & js.SC_WRITE_METHOD)))
        return own

    def array_head(self, kind: str, length: int) -> int:
        self.data.append(js.ARRAY)
        self.class_("[" + kind)
        self.others.append(self.handle())
        self.data += struct.pack(">i", length)
        return self.others[-1]


class Graph:
    """A random stream: ``Graph(seed).build()``."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stream = Stream()
        self._left = self.random.choice((20, 200, 2000, 20_000))  # elements
        self._deepest = self.random.choice((4, 20, 60, 80))
        self._sharing = self.random.random()  # how many values are references
        self._names = [*KNOWN, "A", "[I", "java.lang.Integer"]

    def build(self, root: str = "") -> bytes:
        self._object(0, root)
        return bytes(self.stream.data)

    # --- elements ---

    def _value(self, depth: int) -> None:
        stream, draw = self.stream, self.random
        self._left -= 1
        if self._left < 0 or depth >= self._deepest:
            stream.null()
        elif stream.others and draw.random() < self._sharing:
            stream.reference(draw.choice(stream.others))
        else:
            draw.choice((self._object, self._object, self._array, self._text, self._enum))(depth)

    def _text(self, depth: int) -> None:
        self.stream.string(self.random.choice((b"", b"x", b"a" * 60_000, b"\xc0\x80" * 300, b"org.apache.spark.Main")))

    def _object(self, depth: int, name: str = "") -> None:
        stream = self.stream
        stream.data.append(js.OBJECT)
        _, _, fields, writes = self._class(depth, name)
        stream.others.append(stream.handle())
        for kind, field in fields:
            if field in TEXTS and self.random.random() < 0.8:
                self._text(depth)
            elif kind == "I":
                stream.data += struct.pack(">i", self.random.choice((0, 1, 5, 2**31 - 1, -1)))
            else:
                self._value(depth + 1)
        if writes:
            for _ in range(self.random.randrange(8)):
                self._value(depth + 1)
            stream.data.append(js.ENDBLOCKDATA)

    def _class(self, depth: int, name: str = "") -> tuple[int, str, tuple[tuple[str, str], ...], bool]:
        """Write a class, or a reference to one whose fields are known. Its parents have no fields of their own."""
        stream, draw = self.stream, self.random
        known = [one for one in stream.classes if not one[1].startswith("[")]
        if not name and known and draw.random() < self._sharing:
            found = draw.choice(known)
            stream.reference(found[0])
            return found
        name = name or draw.choice(self._names)
        fields = tuple((ANY, field) for field in KNOWN.get(name, ()))
        if draw.random() < 0.2:
            fields = (("I", "size0"), ("I", "depth"), ("I", "startIndex"), ("I", "endIndex"), *fields)
        writes = draw.random() < 0.3
        flags = js.SC_SERIALIZABLE | (js.SC_WRITE_METHOD if writes else 0)
        stream.class_(name, fields, parent=lambda own: self._parent(own, draw.randrange(70)), flags=flags)
        return stream.classes[-1]

    def _parent(self, own: int, above: int) -> None:
        """Nothing, a chain of classes, a class of elsewhere, something that is not a class, or the class itself."""
        stream, draw = self.stream, self.random
        choice = draw.random()
        if choice < 0.5 or above <= 0:
            stream.null()
        elif choice < 0.8:
            stream.class_("P", parent=lambda mine: self._parent(draw.choice((own, mine)), above - 1))
        elif choice < 0.95 and stream.classes:
            bare = [one[0] for one in stream.classes if not one[2] and not one[3]]
            stream.reference(draw.choice(bare) if bare else own)
        else:
            stream.reference(draw.choice((own, *stream.others[-3:])))

    def _array(self, depth: int) -> None:
        stream, draw = self.stream, self.random
        if draw.random() < 0.2:
            length = draw.choice((0, 10, 100_000))
            stream.array_head(draw.choice("ZB"), length)
            stream.data += bytes(length)
            return
        length = min(draw.choice((0, 3, 32, 1000, 15_000)), max(self._left, 0))
        stream.array_head(ANY, length)
        for _ in range(length):
            self._value(depth + 1)

    def _enum(self, depth: int) -> None:
        stream = self.stream
        stream.data.append(js.ENUM)
        stream.class_("java.util.concurrent.TimeUnit", flags=js.SC_SERIALIZABLE | js.SC_ENUM)
        stream.others.append(stream.handle())
        stream.string(b"SECONDS")
