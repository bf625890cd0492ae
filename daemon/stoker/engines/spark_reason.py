"""Why a Spark executor ended by itself, where its output says what no exit code does."""

from __future__ import annotations

from pathlib import Path

from stoker.core.model.values import NO_SHUFFLE_SERVICE

_READ = 64 * 1024  # bytes of the end of its output
_SAID = b"Unable to register with external shuffle server"


def reason_in(stderr: Path) -> str:
    """A sentence for people, or "" when the output names nothing that is known here. It never raises OSError."""
    try:
        with stderr.open("rb") as file:
            file.seek(max(0, stderr.stat().st_size - _READ))
            return NO_SHUFFLE_SERVICE if _SAID in file.read(_READ) else ""
    except OSError:
        return ""
