"""Times in files of keys and tokens: UTC, to the second."""

from __future__ import annotations

from datetime import datetime, timezone

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def iso(seconds: float) -> str:
    """Return seconds since the Unix epoch as text."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime(_FORMAT)


def seconds_of(text: str) -> float:
    """Raises ValueError."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=timezone.utc).timestamp()
