"""What can go wrong, in words a user can act on.

Every error that may reach a user is a ``StokerError``: its text is one line that names the fix, and
``exit_code`` is what the command line exits with (1: it failed, 2: it was asked wrongly).
"""

from __future__ import annotations

from collections.abc import Iterable


class StokerError(Exception):
    """Base of all errors shown to users as one line."""

    exit_code = 1


class UsageError(StokerError):
    """The caller asked for something malformed: a bad URL, memory string, option or property."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file, variable or property is unreadable or ill-typed."""


class ProtocolError(StokerError):
    """The peer sent bytes that are not a message, or a message that does not answer the question. The fault is the peer's:
    a daemon drops it and logs a line; a client reports it."""


class Unreachable(StokerError):
    """No master of the list answered in time."""


class NotAuthorized(StokerError):
    """The master refused our key, or our role may not ask this."""


class Refused(StokerError):
    """The cluster understood the request and said no; the text is the cluster's."""


class NotFound(Refused):
    """The cluster knows no driver, application or executor of that id."""


class InvariantBroken(StokerError):
    """Our own books are wrong: the daemon must stop rather than go on from a wrong state."""


def did_you_mean(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """A question that names the entry of ``known`` that ``word`` resembles; empty when it resembles none. ``likeness`` is
    difflib's ratio."""
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes only, and slow to import

    near = get_close_matches(word, list(known), 1, likeness)
    return f"did you mean {near[0]}?" if near else ""
