"""Values as plain data, complete: on the wire fields with default values are left out, a program should find them all."""

from __future__ import annotations

from typing import Any

import msgspec


def complete(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: complete(field) for name, field in msgspec.structs.asdict(value).items()}
    if isinstance(value, tuple):
        return [complete(item) for item in value]
    return value
