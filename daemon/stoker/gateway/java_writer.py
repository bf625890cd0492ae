"""Java serialization streams, written: the few objects that a Spark master sends.

Java's reader gives a field that the description of a class leaves out its default. The class's name, its serialVersionUID
and the order of fields (primitives first) must be right. No I/O here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from stoker.gateway.java_stream import (
    CLASS,
    CLASSDESC,
    ENDBLOCKDATA,
    ENUM,
    LONGSTRING,
    MAGIC,
    NULL,
    OBJECT,
    SC_ENUM,
    SC_SERIALIZABLE,
    SC_WRITE_METHOD,
    STRING,
)

_FORMS = {"I": struct.Struct(">i"), "J": struct.Struct(">q"), "Z": struct.Struct(">?")}
_ENUM_BASE_UID = 0  # of java.lang.Enum and of every enum class


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """A class, as the stream describes it. ``fields`` are (type, name): ``I``, ``J``, ``Z`` first, then object types such as
    ``Ljava/lang/String;``. ``writes``: the class has a writeObject of its own, which adds nothing."""

    name: str
    uid: int
    fields: tuple[tuple[str, str], ...] = ()
    parent: ClassSpec | None = None
    writes: bool = False


@dataclass(frozen=True, slots=True)
class New:
    """An object to write; ``values`` by field name, over all its classes."""

    spec: ClassSpec
    values: dict[str, Writable]


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of a Java enum."""

    enum: str
    name: str


@dataclass(frozen=True, slots=True)
class ClassOf:
    """A class itself, as a value."""

    spec: ClassSpec


Writable = None | bool | int | str | New | Constant | ClassOf


def write(value: Writable) -> bytes:
    """Return a stream with this one value. Raises KeyError for a field without a value, which is a bug."""
    return MAGIC + _content(value)


def encode_text(text: str) -> bytes:
    """Java's modified UTF-8 (see ``java_stream.decode_text``). A lone surrogate becomes '?'."""
    if text.isascii() and "\0" not in text:
        return text.encode("ascii")
    units = text.encode("utf-16-be", "replace")
    singles = (chr(unit) for (unit,) in struct.iter_unpack(">H", units))
    return b"".join(b"\xc0\x80" if one == "\0" else one.encode("utf-8", "surrogatepass") for one in singles)


def short_text(text: str) -> bytes:
    """Encode as ``DataOutput.writeUTF`` does; longer than 65535 bytes is cut."""
    data = encode_text(text)
    if len(data) > 0xFFFF:
        data = encode_text(text[:0x5555])
    return struct.pack(">H", len(data)) + data


def _content(value: Writable) -> bytes:
    if value is None:
        return bytes([NULL])
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, New):
        return bytes([OBJECT]) + _class(value.spec, SC_SERIALIZABLE) + _data(value.spec, value.values)
    if isinstance(value, ClassOf):
        return bytes([CLASS]) + _class(value.spec, SC_SERIALIZABLE)
    if isinstance(value, Constant):
        base = ClassSpec("java.lang.Enum", _ENUM_BASE_UID)
        enum = ClassSpec(value.enum, _ENUM_BASE_UID, parent=base)
        return bytes([ENUM]) + _class(enum, SC_SERIALIZABLE | SC_ENUM) + _string(value.name)
    raise TypeError(f"{type(value).__name__} is not written by itself")


def _string(text: str) -> bytes:
    data = encode_text(text)
    if len(data) <= 0xFFFF:
        return struct.pack(">BH", STRING, len(data)) + data
    return struct.pack(">Bq", LONGSTRING, len(data)) + data


def _class(spec: ClassSpec | None, flags: int) -> bytes:
    if spec is None:
        return bytes([NULL])
    own = flags | (SC_WRITE_METHOD if spec.writes else 0)
    head = bytes([CLASSDESC]) + short_text(spec.name) + struct.pack(">qBH", spec.uid, own, len(spec.fields))
    fields = b"".join(
        kind[0].encode() + short_text(name) + (b"" if kind in _FORMS else _string(kind)) for kind, name in spec.fields
    )
    return head + fields + bytes([ENDBLOCKDATA]) + _class(spec.parent, flags)


def _data(spec: ClassSpec, values: dict[str, Writable]) -> bytes:
    above = b"" if spec.parent is None else _data(spec.parent, values)
    own = b"".join(
        _FORMS[kind].pack(values[name]) if kind in _FORMS else _content(values[name]) for kind, name in spec.fields
    )
    return above + own + (bytes([ENDBLOCKDATA]) if spec.writes else b"")
