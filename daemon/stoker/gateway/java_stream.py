"""Java serialization streams, read as data (Java Object Serialization Specification, chapter 6).

A stream describes its own classes, so reading needs no schema. Nothing in it is looked up, loaded, called or instantiated:
objects become ``JavaObject``s, which are names and fields. A malformed stream, or one that is larger or deeper than any
control message, raises ``JavaStreamError``. No I/O here.

A stream may refer to what it has said before, so a few bytes can describe a graph that is cyclic or looks huge. Reading takes
a time that its steps limit, however its classes and objects are connected; a reader of the result must visit each object once
(``scala``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Union

MAGIC = b"\xac\xed\x00\x05"
MAX_DEPTH = 64  # objects within objects, and classes above a class
MAX_CLASSES = 500  # class descriptions of one stream; a registration has about 35
_SLOW_BYTES = 8  # of a text with characters beyond the 16-bit plane, which take as long as a step
_OBJECT_STEPS = 3  # what an object takes more than other elements
MAX_STEPS = 20_000  # elements, fields of classes and of objects in one stream; a registration has about 400

# The bytes that open an element (TC_ constants).
NULL, REFERENCE, CLASSDESC, OBJECT, STRING, ARRAY, CLASS = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76
BLOCKDATA, ENDBLOCKDATA, BLOCKDATALONG, LONGSTRING, ENUM = 0x77, 0x78, 0x7A, 0x7C, 0x7E
FIRST_HANDLE = 0x7E0000

SC_WRITE_METHOD, SC_SERIALIZABLE, SC_EXTERNALIZABLE, SC_BLOCK_DATA, SC_ENUM = 1, 2, 4, 8, 16
_FORMATS = SC_SERIALIZABLE | SC_EXTERNALIZABLE  # how objects of a class are written; one of them
_OTHER_DATA = SC_WRITE_METHOD | SC_EXTERNALIZABLE  # data of an object beside its fields

_PRIMITIVES = {
    "B": struct.Struct(">b"), "C": struct.Struct(">H"), "D": struct.Struct(">d"), "F": struct.Struct(">f"),
    "I": struct.Struct(">i"), "J": struct.Struct(">q"), "S": struct.Struct(">h"), "Z": struct.Struct(">?"),
}  # fmt: skip
_INT = _PRIMITIVES["I"]
_LONG = _PRIMITIVES["J"]
_SHORT = struct.Struct(">H")


class JavaStreamError(Exception):
    """The bytes are not a Java stream such as Spark clients send; one line says why."""


@dataclass(slots=True, eq=False)
class JavaClass:
    """A class as the stream describes it; ``fields`` are (type, name) of its own, in the stream's order. ``lineage`` is this
    class and those above it, the topmost first; it is empty while the description is being read."""

    name: str
    uid: int
    flags: int = 0
    fields: tuple[tuple[str, str], ...] = ()
    parent: JavaClass | None = None
    lineage: tuple[JavaClass, ...] = ()
    with_data: tuple[JavaClass, ...] = ()  # those of ``lineage`` of which an object has bytes in the stream


@dataclass(slots=True, eq=False)
class JavaObject:
    """``fields`` by name, those of a subclass hiding its parents'; ``extra`` is what its writeObject added."""

    cls: JavaClass
    fields: dict[str, Value] = field(default_factory=dict)
    extra: list[Value] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.cls.name


@dataclass(slots=True, eq=False)
class JavaEnum:
    cls: JavaClass
    constant: str = ""


Value = Union[None, bool, int, float, str, bytes, "list[Value]", JavaClass, JavaObject, JavaEnum]


def parse(data: bytes) -> Value:
    """Return the one value of a stream. Raises JavaStreamError for invalid bytes, and nothing else."""
    if data[:4] != MAGIC:
        raise JavaStreamError("not a Java stream: wrong magic number")
    reader = _StreamReader(data)
    value = reader.content(0)
    if reader.position != len(data):
        raise JavaStreamError(f"{len(data) - reader.position} bytes follow the value")
    return value


def decode_text(data: bytes) -> str:
    """Java's modified UTF-8: NUL as two bytes, characters beyond the 16-bit plane as two surrogates of three bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _decode_slowly(data)


def _decode_slowly(data: bytes) -> str:
    try:
        text = data.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeError:
        raise JavaStreamError("a text is not in Java's UTF-8") from None


class _StreamReader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = len(MAGIC)
        self._handles: list[Value] = []
        self._steps_left = MAX_STEPS
        self._classes_left = MAX_CLASSES

    # --- bytes ---

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self._data):
            raise JavaStreamError("incomplete stream")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def _number(self, form: struct.Struct) -> int:
        number: int = form.unpack(self._take(form.size))[0]
        return number

    def _byte(self) -> int:
        return self._take(1)[0]

    def _text(self) -> str:
        return self._decode(self._take(self._number(_SHORT)))

    def _decode(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            self._spend(len(data) // _SLOW_BYTES)
            return _decode_slowly(data)

    # --- elements ---

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise JavaStreamError(f"more than {MAX_STEPS} elements")

    def _remember(self, value: Value) -> int:
        self._handles.append(value)
        return len(self._handles) - 1

    def _referred(self) -> Value:
        index = self._number(_INT) - FIRST_HANDLE
        if not 0 <= index < len(self._handles):
            raise JavaStreamError("reference to an unknown object")
        return self._handles[index]

    def content(self, depth: int) -> Value:
        """One object, string, array, class, enum constant, reference or null."""
        if depth > MAX_DEPTH:
            raise JavaStreamError(f"objects are nested more than {MAX_DEPTH} deep")
        self._spend(1)
        code = self._byte()
        read = _CONTENTS.get(code)
        if read is None:
            raise JavaStreamError(f"unsupported element type {code:#04x}")
        return read(self, depth)

    def _class_object(self, depth: int) -> JavaClass:
        cls = self._class(depth)
        self._remember(cls)
        return cls

    def _string(self, code: int) -> str:
        length = self._number(_SHORT if code == STRING else _LONG)
        text = self._decode(self._take(length))
        self._remember(text)
        return text

    def _class_or_none(self, depth: int) -> JavaClass | None:
        code = self._byte()
        if code == NULL:
            return None
        if code == REFERENCE:
            cls = self._referred()
            if not isinstance(cls, JavaClass):
                raise JavaStreamError("a class refers to another kind of object")
            if not cls.lineage:
                raise JavaStreamError("a class refers to one whose description is incomplete")
            return cls
        if code != CLASSDESC:
            raise JavaStreamError(f"unsupported class type {code:#04x}")
        return self._described(depth)

    def _class(self, depth: int) -> JavaClass:
        cls = self._class_or_none(depth)
        if cls is None:
            raise JavaStreamError("an object has no class")
        return cls

    def _described(self, depth: int) -> JavaClass:
        if depth > MAX_DEPTH:
            raise JavaStreamError(f"classes are nested more than {MAX_DEPTH} deep")
        self._classes_left -= 1
        if self._classes_left < 0:
            raise JavaStreamError(f"more than {MAX_CLASSES} classes")
        cls = JavaClass(self._text(), self._number(_LONG))
        self._remember(cls)
        cls.flags = self._byte()
        count = self._number(_SHORT)
        self._spend(1 + count)
        cls.fields = tuple(self._field() for _ in range(count))
        self._extra(depth)
        cls.parent = self._class_or_none(depth + 1)
        above = cls.parent.lineage if cls.parent is not None else ()
        if len(above) >= MAX_DEPTH:
            raise JavaStreamError(f"classes are nested more than {MAX_DEPTH} deep")
        cls.lineage = (*above, cls)
        cls.with_data = tuple(
            one for one in cls.lineage if one.fields or one.flags & _OTHER_DATA or not one.flags & _FORMATS
        )
        return cls

    def _field(self) -> tuple[str, str]:
        kind = chr(self._byte())
        name = self._text()
        if kind in _PRIMITIVES:
            return kind, name
        if kind not in ("L", "["):
            raise JavaStreamError(f"field {name[:80]!r} has the unknown type {kind!r}")
        code = self._byte()
        signature = self._referred() if code == REFERENCE else self._string(code) if code == STRING else None
        if not isinstance(signature, str):
            raise JavaStreamError(f"the type of field {name[:80]!r} is not a text")
        return signature, name

    def _object(self, depth: int) -> JavaObject:
        self._spend(_OBJECT_STEPS)
        made = JavaObject(self._class(depth))
        self._remember(made)
        for cls in made.cls.with_data:
            if cls.flags & SC_SERIALIZABLE:
                for kind, name in cls.fields:
                    made.fields[name] = self._field_value(kind, depth)
                if cls.flags & SC_WRITE_METHOD:
                    made.extra.extend(self._extra(depth))
            elif cls.flags & SC_EXTERNALIZABLE and cls.flags & SC_BLOCK_DATA:
                made.extra.extend(self._extra(depth))
            else:
                raise JavaStreamError(f"{cls.name[:80]!r} has a format of its own, which cannot be read")
        return made

    def _field_value(self, kind: str, depth: int) -> Value:
        form = _PRIMITIVES.get(kind)
        if form is None:
            return self.content(depth + 1)
        self._spend(1)
        value: bool | int | float = form.unpack(self._take(form.size))[0]
        return value

    def _extra(self, depth: int) -> list[Value]:
        """Objects and runs of bytes up to the end mark."""
        found: list[Value] = []
        while True:
            self._spend(1)
            code = self._byte()
            if code == ENDBLOCKDATA:
                return found
            if code == BLOCKDATA:
                found.append(self._take(self._byte()))
            elif code == BLOCKDATALONG:
                found.append(self._take(self._number(_INT)))
            else:
                self.position -= 1
                found.append(self.content(depth + 1))

    def _array(self, depth: int) -> Value:
        cls = self._class(depth)
        kind = cls.name[1:]
        items: list[Value] = []
        slot = self._remember(items)
        length = self._number(_INT)
        if not 0 <= length <= len(self._data) - self.position:  # an element takes a byte at least
            raise JavaStreamError("an array is longer than the stream")
        if kind == "B":
            data = self._take(length)
            self._handles[slot] = data
            return data
        form = _PRIMITIVES.get(kind)
        if form is not None:  # all at once: one after the other they would take a hundred times as long
            self._spend(length)
            items.extend(struct.unpack(f">{length}{form.format[1:]}", self._take(length * form.size)))
            return items
        for _ in range(length):
            items.append(self.content(depth + 1))
        return items

    def _enum(self, depth: int) -> JavaEnum:
        made = JavaEnum(self._class(depth))
        self._remember(made)
        constant = self.content(depth + 1)
        if not isinstance(constant, str):
            raise JavaStreamError("the name of an enum constant is not a text")
        made.constant = constant
        return made


_CONTENTS: dict[int, Callable[[_StreamReader, int], Value]] = {
    NULL: lambda reader, depth: None,
    REFERENCE: lambda reader, depth: reader._referred(),
    OBJECT: _StreamReader._object,
    STRING: lambda reader, depth: reader._string(STRING),
    LONGSTRING: lambda reader, depth: reader._string(LONGSTRING),
    ARRAY: _StreamReader._array,
    ENUM: _StreamReader._enum,
    CLASS: _StreamReader._class_object,
    CLASSDESC: _StreamReader._described,
}
