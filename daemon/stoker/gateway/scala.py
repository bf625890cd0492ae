"""Reads the collections and options of Scala 2.12, Scala 2.13 and Java in Java streams, as plain lists and dictionaries.

Each class has its own format. An unknown class is an error: reading it as empty would drop a part of the request.

Elements may be references to the same object. So no function here takes a time, or makes a result, that is larger than
the limits of a stream would allow without references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from stoker.gateway.java_stream import MAX_STEPS, JavaClass, JavaObject, JavaStreamError, Value

_END = ("SerializeEnd$",)  # the mark behind the elements of a collection of unknown length
_DEEPEST = 8  # wrappers within wrappers
_MOST_TEXT = 1 << 20  # characters in all texts of one collection
_WRAPPED = re.compile(r"(?:.*\$)?underlying|m|list")  # the field of a wrapper that holds another collection
_ELEMENTS = ("unsafeArray", "array", "prefix1", "a")  # the field of a sequence that holds its elements
_MAP_FIELD = re.compile(r"(?:.*\$)?(key|value)([1-4])")
_TREE = re.compile(r"(?:.*\$)?tree")
_EMPTY = frozenset({"scala.collection.immutable.Map$EmptyMap$", "scala.collection.immutable.Nil$"})
_PROXY = "scala.collection.generic.DefaultSerializationProxy"
# Classes that write their entries behind their fields.
_MAPS = frozenset({
    _PROXY, "scala.collection.immutable.HashMap$SerializationProxy", "scala.collection.immutable.HashMap",
    "scala.collection.mutable.HashMap", "scala.collection.mutable.LinkedHashMap", "java.util.HashMap",
    "java.util.LinkedHashMap", "java.util.TreeMap", "java.util.Hashtable", "java.util.Properties",
    "java.util.concurrent.ConcurrentHashMap",
})  # fmt: skip
_SEQUENCES = frozenset({
    _PROXY, "scala.collection.immutable.List$SerializationProxy", "java.util.ArrayList", "java.util.LinkedList",
})  # fmt: skip
_PAIRS = ("scala.Tuple2",)  # and its specialised forms, such as Tuple2$mcII$sp
_SPECIALISED = ("", *(f"$mc{kind}$sp" for kind in "IJDCZ"))  # ends of the names of their fields


def option(value: Value) -> Value:
    """Return the content of a ``Some``; None for anything else."""
    if isinstance(value, JavaObject) and value.name == "scala.Some":
        return unboxed(value.fields.get("value"))
    return None


def unboxed(value: Value) -> Value:
    """Return the number or boolean in a ``java.lang.Integer``, ``Long``, ``Boolean`` ...; anything else unchanged."""
    if isinstance(value, JavaObject) and value.name.startswith("java.lang.") and "value" in value.fields:
        return value.fields["value"]
    return value


def texts(value: Value) -> list[str]:
    """Return the elements of a Seq[String]. Raises JavaStreamError for other elements."""
    found = []
    for item in sequence(value):
        if not isinstance(item, str):
            raise JavaStreamError("a list of texts holds something else")
        found.append(item)
    _check_size(map(len, found))
    return found


def _check_size(lengths: Iterable[int]) -> None:
    if sum(lengths) > _MOST_TEXT:
        raise JavaStreamError(f"a collection has more than {_MOST_TEXT} characters")


def sequence(value: Value) -> list[Value]:
    """Return the elements of an array, Seq, List, Buffer or Java list. Raises JavaStreamError for anything else."""
    whole = value = _unwrapped(value)
    for _ in range(_DEEPEST):
        if isinstance(value, list):
            return value
        if not isinstance(value, JavaObject):
            break
        if _is_empty(value):
            return []
        if value.name in _SEQUENCES:
            return _elements(value)
        if "display0" in value.fields:
            return _vector(value)
        inner = next((value.fields[name] for name in _ELEMENTS if name in value.fields), None)
        size = value.fields.get("size0")
        if isinstance(inner, list) and isinstance(size, int):
            return inner[:size]
        value = inner
    raise _unknown("list", whole)


def _unwrapped(value: Value) -> Value:
    for _ in range(_DEEPEST):
        if not isinstance(value, JavaObject):
            break
        name = next((name for name in value.fields if _WRAPPED.fullmatch(name)), None)
        if name is None:
            break
        value = value.fields[name]
    return value


def _is_empty(value: JavaObject) -> bool:
    module = value.fields.get("moduleClass")
    return (module.name if isinstance(module, JavaClass) else value.name) in _EMPTY


def _unknown(what: str, value: Value) -> JavaStreamError:
    name = value.name if isinstance(value, JavaObject) else type(value).__name__
    return JavaStreamError(f"unsupported class {name[:120]} of a {what}")


def _elements(value: JavaObject) -> list[Value]:
    return [item for item in value.extra if not isinstance(item, bytes) and not _is_end(item)]


def _is_end(item: Value) -> bool:
    if isinstance(item, JavaObject):
        module = item.fields.get("moduleClass")
        name = module.name if isinstance(module, JavaClass) else item.name
        return name.endswith(_END)
    return False


def _vector(value: JavaObject) -> list[Value]:
    """Return the elements of a Vector of Scala 2.12: arrays of arrays, ``depth`` deep."""
    depth, start, end = (value.fields.get(name) for name in ("depth", "startIndex", "endIndex"))
    if not (isinstance(depth, int) and isinstance(start, int) and isinstance(end, int) and depth <= _DEEPEST):
        raise _unknown("list", value)
    items: list[Value] = [value.fields.get(f"display{depth - 1}")] if depth else []
    for _ in range(depth):
        arrays = [inner for inner in items if isinstance(inner, list)]
        if sum(map(len, arrays)) > MAX_STEPS:  # arrays that contain one array many times, many times
            raise JavaStreamError(f"a list has more than {MAX_STEPS} elements")
        items = [item for inner in arrays for item in inner]
    found: list[Value] = [item for item in items if item is not None]
    if len(found) != end - start:
        raise _unknown("list", value)
    return found


def mapping(value: Value) -> list[tuple[Value, Value]]:
    """Return the entries of a Map. Raises JavaStreamError for anything else."""
    value = _unwrapped(value)
    if not isinstance(value, JavaObject):
        raise _unknown("map", value)
    slots: dict[tuple[str, str], Value] = {}
    for name, content in value.fields.items():
        match = _MAP_FIELD.fullmatch(name)
        if match:
            slots[match[2], match[1]] = content
    if slots:
        return [(slots.get((number, "key")), slots.get((number, "value"))) for number in sorted({n for n, _ in slots})]
    if value.name in _MAPS:
        return _entries(value)
    if _is_empty(value):
        return []
    tree = next((content for name, content in value.fields.items() if _TREE.fullmatch(name)), value)
    if isinstance(tree, JavaObject) and "root" in tree.fields:
        tree = tree.fields["root"]
    if tree is value:
        raise _unknown("map", value)
    return _nodes(tree)


def _entries(value: JavaObject) -> list[tuple[Value, Value]]:
    items = _elements(value)
    if value.name.endswith("ConcurrentHashMap"):  # which ends its entries with two nulls
        items = items[:-2]
    pairs = [item for item in items if isinstance(item, JavaObject) and item.name.startswith(_PAIRS)]
    if len(pairs) == len(items):
        return [(_part(pair, "_1"), _part(pair, "_2")) for pair in pairs]
    if len(items) % 2:
        raise JavaStreamError("a map holds a key without a value")
    return list(zip(items[::2], items[1::2], strict=True))


def _nodes(tree: Value) -> list[tuple[Value, Value]]:
    """Return the entries of a red-black tree, each once: references in a stream may form a circle."""
    found: list[tuple[Value, Value]] = []
    seen: set[int] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if not isinstance(node, JavaObject) or "key" not in node.fields or id(node) in seen:
            raise _unknown("map", node)
        seen.add(id(node))
        found.append((node.fields["key"], node.fields.get("value")))
        waiting += [node.fields.get("left"), node.fields.get("right")]
    return found


def _part(pair: JavaObject, name: str) -> Value:
    """Return a part of a pair. A specialised pair has it in a field such as ``_1$mcI$sp``, and ``_1`` is null."""
    parts = (pair.fields.get(name + suffix) for suffix in _SPECIALISED)
    return next((content for content in parts if content is not None), None)


def text_map(value: Value) -> dict[str, str]:
    """Return the entries of a Map[String, String]. Raises JavaStreamError."""
    found: dict[str, str] = {}
    for key, content in mapping(value):
        if not isinstance(key, str) or not isinstance(content, str):
            raise JavaStreamError("a map of texts holds something else")
        found[key] = content
    _check_size(len(key) + len(content) for key, content in found.items())
    return found
