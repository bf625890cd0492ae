"""Values as plain data with all fields. The wire leaves out fields with default values; programs should find them all."""

from __future__ import annotations

from typing import Any

import msgspec


def complete(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: complete(field) for name, field in msgspec.structs.asdict(value).items()}
    if isinstance(value, tuple):
        return [complete(item) for item in value]
    return value
