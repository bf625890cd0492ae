"""Scala's collections and options as they come in Java streams, in both of their ways (Scala 2.12 and 2.13), as plain
lists and dictionaries."""

from __future__ import annotations

import re

from stoker.gateway.java_stream import JavaClass, JavaObject, JavaStreamError, Value

_END = ("SerializeEnd$",)  # the mark behind the elements of a collection of unknown length
_ELEMENTS = ("unsafeArray", "array", "underlying", "prefix1")  # the field of a collection that holds its elements
_MAP_FIELD = re.compile(r"(?:.*\$)?(key|value)([1-4])")


def option(value: Value) -> Value:
    """What is in a ``Some``, or None."""
    if isinstance(value, JavaObject) and value.name == "scala.Some":
        return unboxed(value.fields.get("value"))
    return None


def unboxed(value: Value) -> Value:
    """The number or truth value in a ``java.lang.Integer``, ``Long``, ``Boolean`` ...; anything else as it is."""
    if isinstance(value, JavaObject) and value.name.startswith("java.lang.") and "value" in value.fields:
        return value.fields["value"]
    return value


def texts(value: Value) -> list[str]:
    """A Seq[String]. Raises JavaStreamError when something else is in it."""
    found = []
    for item in sequence(value):
        if not isinstance(item, str):
            raise JavaStreamError("a list of texts holds something else")
        found.append(item)
    return found


def sequence(value: Value) -> list[Value]:
    """The elements of an array, Seq, List, Buffer or Java list. Raises JavaStreamError for anything else."""
    for _ in range(8):  # wrappers within wrappers
        if isinstance(value, list):
            return value
        if not isinstance(value, JavaObject):
            break
        inner = next((value.fields[name] for name in _ELEMENTS if name in value.fields), None)
        if inner is None:
            return _elements(value)
        size = value.fields.get("size0")
        if isinstance(inner, list) and isinstance(size, int):
            return inner[:size]
        value = inner
    raise JavaStreamError("a list is written in a way that is not known")


def _elements(value: JavaObject) -> list[Value]:
    return [item for item in value.extra if not isinstance(item, bytes) and not _is_end(item)]


def _is_end(item: Value) -> bool:
    if isinstance(item, JavaObject):
        module = item.fields.get("moduleClass")
        name = module.name if isinstance(module, JavaClass) else item.name
        return name.endswith(_END)
    return False


def mapping(value: Value) -> list[tuple[Value, Value]]:
    """The entries of a Map. Raises JavaStreamError for anything else."""
    if not isinstance(value, JavaObject):
        raise JavaStreamError("a map is written in a way that is not known")
    slots: dict[tuple[str, str], Value] = {}
    for name, content in value.fields.items():
        match = _MAP_FIELD.fullmatch(name)
        if match:
            slots[match[2], match[1]] = content
    if slots:
        return [(slots.get((number, "key")), slots.get((number, "value"))) for number in sorted({n for n, _ in slots})]
    items = _elements(value)
    pairs = [item for item in items if isinstance(item, JavaObject) and item.name.startswith("scala.Tuple2")]
    if len(pairs) == len(items):
        return [(_part(pair, "_1"), _part(pair, "_2")) for pair in pairs]
    if len(items) % 2:
        raise JavaStreamError("a map holds a key without a value")
    return list(zip(items[::2], items[1::2], strict=True))


def _part(pair: JavaObject, name: str) -> Value:
    return next((content for field, content in pair.fields.items() if field.startswith(name) and content), None)


def text_map(value: Value) -> dict[str, str]:
    """A Map[String, String]. Raises JavaStreamError."""
    found: dict[str, str] = {}
    for key, content in mapping(value):
        if not isinstance(key, str) or not isinstance(content, str):
            raise JavaStreamError("a map of texts holds something else")
        found[key] = content
    return found
