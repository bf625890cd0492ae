"""A master's own time, which stands still while the master does not run.

A master that is stopped by a signal, paused with its machine or blocked by its disk receives nothing meanwhile. Its peers
were not silent then, and the messages it waits for had no chance to arrive. So its waits continue where they stopped.
"""

from __future__ import annotations

from stoker.core.model.values import Now

LATE = 1.0  # seconds after a due time; a master that looks later than that was not running


class OwnTime:
    """Only ``LATE`` seconds of a gap count, so that the time of a master that is always late passes as well."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self._last: float | None = None

    def at(self, now: Now, due: float) -> Now:
        """Return the own time at ``now``; the master should have looked by ``due`` (own time too)."""
        gap = 0.0 if self._last is None else now.mono - self._last
        if gap > LATE and now.mono - self.mono(due) > LATE:
            self._skipped += gap - LATE
        self._last = now.mono
        return Now(now.mono - self._skipped, now.wall) if self._skipped else now

    def mono(self, own: float) -> float:
        """Return the ``time.monotonic`` seconds of an own time, if no further gap occurs."""
        return own + self._skipped
