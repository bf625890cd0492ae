"""Hides secrets in texts that others than a job's owner read: views, pages, JSON, logs, the first lines of its stderr."""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "(not shown)"

_NAME = re.compile(
    r"secret|passw|token|credential|access[.]?key", re.IGNORECASE
)  # Spark's spark.redaction.regex, and more
_ASSIGNMENT = re.compile(r"([-\w.]+)=(.+)", re.DOTALL)  # --password=X, -Dsome.token=X, PASSWORD=X
_PARAMETER = re.compile(r"([?&;])([-\w.]+)=([^&;#\s]+)")  # in a URL
_CREDENTIALS = re.compile(r"://[^/\s@]*@")  # in a URL
_OPTION = re.compile(r"--?[A-Za-z][-\w.]*")  # whose value is the next word


def is_secret(name: str) -> bool:
    """Return whether a property or a variable of that name holds a secret, as far as its name tells."""
    return _NAME.search(name) is not None


def _hides(name: str) -> bool:
    """Return whether the value of that name on a command line is hidden: ``--api-key``, ``SSH_KEY`` and the like too."""
    return is_secret(name) or name.lower().endswith("key")


def redacted(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a command line with secrets hidden: the value of ``NAME=VALUE``, of ``--NAME VALUE`` and of a
    URL's parameter if NAME is that of a secret, and user and password in a URL."""
    shown: list[str] = []
    follows = False  # the word is the value of a secret option
    for word in words:
        if follows and not word.startswith("--"):
            shown.append(HIDDEN)
            follows = False
            continue
        follows = _OPTION.fullmatch(word) is not None and _hides(word)
        shown.append(_redacted_word(word))
    return tuple(shown)


def _redacted_word(word: str) -> str:
    if "=" in word:
        assignment = _ASSIGNMENT.fullmatch(word)
        if assignment is not None and _hides(assignment[1]):
            return f"{assignment[1]}={HIDDEN}"
        word = _PARAMETER.sub(
            lambda found: found[0] if not _hides(found[2]) else f"{found[1]}{found[2]}={HIDDEN}", word
        )
    return _CREDENTIALS.sub(f"://{HIDDEN}@", word) if "://" in word else word
