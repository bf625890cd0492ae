"""What many bugs replace a function with."""

from __future__ import annotations

from typing import Any


def left_out(*_: Any, **__: Any) -> None:
    """Replaces a line that somebody forgot."""
