"""Time limits in words (ADR 27)."""

from __future__ import annotations

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))  # seconds


def span(seconds: float) -> str:
    """Return a duration as people write a limit: ``2 h``, ``1 h 30 min``, ``0.5 s``."""
    words = []
    left = round(seconds, 3)
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count:.0f} {unit}")
    if left or not words:
        words.append(f"{round(left, 3):g} s")
    return " ".join(words)


def reason(seconds: float) -> str:
    """Return why a job ended that reached its limit."""
    return f"time limit of {span(seconds)}"


def with_rest(limit: float, started: float, now: float) -> str:
    """Return a limit, and what is left of it for a process that ``started``; 0: not yet. "" without a limit. Times in
    seconds."""
    if not limit:
        return ""
    if not started:
        return span(limit)
    left = round(started + limit - now)
    return f"{span(limit)}, {span(left)} left" if left > 0 else f"{span(limit)}, reached"
