"""A master's own time, which stands still while the master does not run.

A master that is stopped by a signal, paused with its machine or kept waiting by its disk hears nobody meanwhile. That is
no silence of others, and what it waits for has had no chance to come. So waits go on where they stopped.
"""

from __future__ import annotations

from stoker.core.model.values import Now

LATE = 1.0  # seconds after the time it was due at; a master that comes later did not run


class OwnTime:
    """Of a gap only ``LATE`` seconds pass, so that a master that is always late gets on as well."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self._last: float | None = None

    def at(self, now: Now, due: float) -> Now:
        """The own time of a look at ``now``, which should have come by ``due`` (own time too)."""
        if self._last is not None and now.mono - max(self._last, self.mono(due)) > LATE:
            self._skipped += now.mono - self._last - LATE
        self._last = now.mono
        return Now(now.mono - self._skipped, now.wall)

    def mono(self, own: float) -> float:
        """``time.monotonic`` seconds of an own time, if nothing else is skipped."""
        return own + self._skipped
