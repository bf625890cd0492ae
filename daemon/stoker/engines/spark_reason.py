"""Why a Spark executor exited, found in its output when the exit code does not show it."""

from __future__ import annotations

from pathlib import Path

from stoker.core.model.values import NO_SHUFFLE_SERVICE

_READ = 64 * 1024  # bytes of the end of its output
_SAID = b"Unable to register with external shuffle server"


def reason_in(stderr: Path) -> str:
    """Return a sentence for people; empty when the output holds no known error. Does not raise OSError."""
    try:
        with stderr.open("rb") as file:
            file.seek(max(0, stderr.stat().st_size - _READ))
            return NO_SHUFFLE_SERVICE if _SAID in file.read(_READ) else ""
    except OSError:
        return ""
