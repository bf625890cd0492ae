# Copyright: Stoker contributors. Apache License 2.0 (see LICENSE).
"""Values in the formats of the files that the playbooks write, so that a reader gets exactly the value back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_IN_NAME = re.compile(r"[\\ \t=:#!]")
_PLAIN = re.compile(r"[\w@+=:,./-]+")
_CONTROL = re.compile(r"[\x01-\x1f\x7f]")
_PROPERTY = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}


def stoker_property(name: str, value: Any = "") -> str:
    """A line of a Java properties file. A backslash escapes there, and a separator at a value's start is dropped."""
    text = _text(value)
    escaped = "".join(_PROPERTY.get(character, character) for character in text)
    start = "\\" if escaped[:1] in ("=", ":", " ") else ""
    return f"{_IN_NAME.sub(_escape, name)} {start}{escaped}"


def stoker_shell(name: str, value: Any = "") -> str:
    """An assignment as bash, and so spark-env, reads it."""
    quoted = _text(value).replace("'", "'\\''")
    return f"{name}='{quoted}'"


def stoker_spark_env(settings: Mapping[str, Any]) -> str:
    """The text of a spark-env."""
    return _file("spark_env", [stoker_shell(name, value) for name, value in _sorted(settings)])


def stoker_spark_defaults(settings: Mapping[str, Any]) -> str:
    """The text of a spark-defaults.conf."""
    return _file("spark_defaults", [stoker_property(name, value) for name, value in _sorted(settings)])


def stoker_systemd(name: str, value: Any = "") -> str:
    """An ``Environment=`` line of a systemd unit: quoted, with its specifiers and control characters escaped."""
    return f'Environment="{name}={_in_unit(_text(value))}"'


def stoker_systemd_word(value: Any) -> str:
    """A path or another single word in a systemd unit, as it is if systemd gives it no other meaning."""
    text = _text(value)
    return text if _PLAIN.fullmatch(text) else f'"{_in_unit(text)}"'


def _in_unit(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", escaped)  # a line break would begin a setting


def _file(variable: str, lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in [f"# Managed by Ansible: change {variable} in the inventory.", *lines])


def _sorted(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(settings.items(), key=lambda setting: setting[0].lower())


def _escape(match: re.Match[str]) -> str:
    return "\\" + match[0]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Any]:
        return {
            "stoker_property": stoker_property,
            "stoker_spark_defaults": stoker_spark_defaults,
            "stoker_spark_env": stoker_spark_env,
            "stoker_systemd": stoker_systemd,
            "stoker_systemd_word": stoker_systemd_word,
        }
