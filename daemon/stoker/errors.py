"""Errors that users can act on.

Every error that may reach a user is a ``StokerError``. Its text is one line that names the fix.
"""

from __future__ import annotations

from collections.abc import Iterable


class StokerError(Exception):
    """Base of the errors that users meet. The text is one line that names the fix."""

    exit_code: int = 1  # of a command that ends with this error: 1 for a failure, 2 for wrong usage


class UsageError(StokerError):
    """The caller's input is malformed: a URL, a memory size, an option or a property."""

    exit_code: int = 2


class ConfigError(UsageError):
    """A configuration file, variable or property is unreadable or has an invalid value."""


class ProtocolError(StokerError):
    """The peer sent bytes that are not a message, or a message that does not answer the question."""


class Unreachable(StokerError):
    """No master answered in time."""


class NotAuthorized(StokerError):
    """The master rejected the key of this machine, or the key's role does not permit the request."""


class Refused(StokerError):
    """The cluster understood the request and refused it; the text is the cluster's reason."""


class NotFound(Refused):
    """The cluster has no driver, application, executor or worker of that id."""


class InvariantBroken(StokerError):
    """The daemon's records contradict each other: it must stop rather than go on from a wrong state."""


def one_line(text: str) -> str:
    """Return ``text`` as one line that is safe to log and to print: what is not printable (control characters, line and
    paragraph separators, bidirectional marks, lone surrogates) is written as an escape, such as ``\\n`` or ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def did_you_mean(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return "did you mean X?" for the entry of ``known`` that ``word`` resembles, else "".

    ``likeness`` is difflib's ratio.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes only, and slow to import

    near = get_close_matches(word, list(known), 1, likeness)
    return f"did you mean {near[0]}?" if near else ""
