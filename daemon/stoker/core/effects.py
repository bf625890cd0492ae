"""What the master's core asks its shell to do. The shell commits every ``Persist``/``Forget`` of a batch in one durable
write, and only then releases the ``Send``s (DESIGN section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stoker.core.messages import Message


@dataclass(frozen=True, slots=True)
class Send:
    """Deliver to a connection; ``peer`` is its routing id."""

    peer: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class Persist:
    """Write a record under ``key``, e.g. ``driver/driver-...``; replaces what was there."""

    key: str
    record: Any


@dataclass(frozen=True, slots=True)
class Forget:
    key: str


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the operator; ``level`` as in ``logging``."""

    level: int
    text: str


Effect = Send | Persist | Forget | Log
