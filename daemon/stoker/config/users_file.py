"""Read ``users.yml``: which account the jobs of a principal or of a pool run as. Standard library only: the keeper reads it
without a YAML package, so the file is of the simplest kind of YAML::

    principals:
      ada: alovelace
    pools:
      etl: etl
"""

from __future__ import annotations

import re
from typing import NamedTuple

FILE = "users.yml"
SECTIONS = ("principals", "pools")

_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?")
_SECTION = re.compile(r"([^\s:#][^:#]*?)\s*:\s*(\{\s*\})?\s*(?:#.*)?")
_PLAIN = r"[A-Za-z0-9_][A-Za-z0-9_.@+/-]*"
_QUOTED = r"\"[^\"\\]+\"|'[^']+'"
_ENTRY = re.compile(rf" +({_PLAIN}|{_QUOTED})\s*:\s+({_PLAIN}\$?|{_QUOTED})\s*(?:\s#.*)?")


class Users(NamedTuple):
    """UnixAccounts by principal and by pool."""

    principals: dict[str, str]
    pools: dict[str, str]


def parse_users(text: str, name: str) -> tuple[Users | None, list[str]]:
    """Return the mapping, or None and a line for each fault. ``name``: of the file, for these lines."""
    found: dict[str, dict[str, str]] = {}
    faults: list[str] = []
    section = ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r \t")
        if not line.strip() or line.lstrip().startswith("#") or line == "---":
            continue
        where = f"{name}:{number}"
        if not line.startswith((" ", "\t")):
            section, fault = _section(line, found)
            faults += [f"{where}: {fault}"] if fault else []
            continue
        fault = _entry(line, section, found)
        faults += [f"{where}: {fault}"] if fault else []
    if faults:
        return None, faults
    return Users(found.get("principals", {}), found.get("pools", {})), []


def _section(line: str, found: dict[str, dict[str, str]]) -> tuple[str, str]:
    """Return the section that begins here, and what is wrong with it."""
    match = _SECTION.fullmatch(line)
    if match is None:
        return (
            "?",
            f"{line.strip()[:60]!r} is not a section: write 'principals:' or 'pools:', and NAME: ACCOUNT below it",
        )
    section = match[1]
    if section not in SECTIONS:
        return "?", f"unknown section {section}: there are principals and pools"
    if section in found:
        return "?", f"{section} is given twice"
    found[section] = {}
    return section, ""


def _entry(line: str, section: str, found: dict[str, dict[str, str]]) -> str:
    """Take a line of a section. Return what is wrong with it."""
    if section == "?":  # reported
        return ""
    match = _ENTRY.fullmatch(line)
    if not section or match is None:
        return f"{line.strip()[:60]!r} is not an indented line NAME: ACCOUNT below 'principals:' or 'pools:'"
    key, account = (word[1:-1] if word[0] in "\"'" else word for word in match.groups())
    if _ACCOUNT.fullmatch(account) is None:
        return f"{account!r} is not the name of an account"
    if account == "root":
        return f"{key}: jobs never run as root: name another account"
    if key in found[section]:
        return f"{key} is given twice"
    found[section][key] = account
    return ""
