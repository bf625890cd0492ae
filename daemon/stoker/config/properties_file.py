"""Java's properties format (java.util.Properties), which ``spark-defaults.conf`` has.

Written out here, because every command reads such a file and the usual package loads HTTP and TLS with it, at twice the
cost of the whole command.
"""

from __future__ import annotations

import re

_LINE = re.compile(r"\r\n|\r|\n")
_KEY = re.compile(r"(?:\\.|[^\\=: \t\f])*", re.DOTALL)
_SEPARATOR = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE = re.compile(r"\\(u([0-9A-Fa-f]{4})?|.|$)", re.DOTALL)
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(text: str) -> dict[str, str]:
    """Return the properties of a file's text; of two with the same name the latter counts.

    Raises ValueError for a backslash and u without four hexadecimal digits.
    """
    found = {}
    for line in _logical_lines(text):
        key = _KEY.match(line)
        assert key is not None  # it matches the empty text
        separator = _SEPARATOR.match(line, key.end())
        assert separator is not None
        found[_unescaped(key[0])] = _unescaped(line[separator.end() :])
    return found


def _logical_lines(text: str) -> list[str]:
    """Lines that are neither blank nor comments, with those joined that end in an odd number of backslashes."""
    lines: list[str] = []
    is_continued = False
    for raw in _LINE.split(text):
        line = raw.lstrip(" \t\f")
        if is_continued:
            lines[-1] += line
        elif line and line[0] not in "#!":
            lines.append(line)
        else:
            continue
        is_continued = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        if is_continued:
            lines[-1] = lines[-1][:-1]
    return [line for line in lines if line]


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_character, text)
    # Java writes a character beyond U+FFFF as two escapes, which are one character here.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(match: re.Match[str]) -> str:
    word, digits = match[1], match[2]
    if word == "u":
        raise ValueError(r"\u needs four hexadecimal digits; a backslash itself is written \\")
    if digits:
        return chr(int(digits, 16))
    return _CONTROL.get(word, word)
