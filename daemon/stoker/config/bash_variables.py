"""The variables that bash itself sets (``bash(1)``: Shell Variables), for ``shell_words``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

Lookup = Callable[[str], "str | None"]

# Bash sets these whatever the environment holds.
_OF_BASH = re.compile(
    "_|BASH|BASHOPTS|BASHPID|BASH_(ALIASES|ARGC|ARGV|ARGV0|CMDS|COMMAND|LINENO|SOURCE|SUBSHELL|VERSINFO|VERSION)|"
    "COMP_WORDBREAKS|DIRSTACK|EPOCHREALTIME|EPOCHSECONDS|E?UID|FUNCNAME|GROUPS|HISTCMD|IFS|LINENO|(OLD)?PWD|OPT(ERR|IND)|"
    "PIPESTATUS|POSIXLY_CORRECT|PPID|PS4|S?RANDOM|SECONDS|SHELLOPTS|SHLVL"
)
_DEFAULTS_OF_BASH = ("HOSTTYPE", "MACHTYPE", "OSTYPE", "PATH", "SHELL", "TERM")  # if the environment has none


def is_of_bash(name: str) -> bool:
    """Whether a variable belongs to a running shell, so that no file can set it."""
    return _OF_BASH.fullmatch(name) is not None


def made_by_bash(name: str, lookup: Lookup) -> str | None:
    """The value that bash gives a variable which ``lookup``, the environment, does not have; None for any other variable.
    Raises LookupError when only a running shell has the value."""
    if not is_of_bash(name) and lookup(name) is not None:
        return None
    made = _of_this_process(name, lookup)
    if made is None and (is_of_bash(name) or name in _DEFAULTS_OF_BASH):
        raise LookupError(name)
    return made


def home(user: str, lookup: Lookup) -> str | None:
    """The folder that ``~`` or ``~user`` stands for; None when the account is unknown."""
    if not user:
        known = lookup("HOME")
        if known is not None:
            return known
    try:
        import pwd  # noqa: PLC0415 - Unix only, and clients run elsewhere too

        return (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except (ImportError, KeyError):
        return None


def _of_this_process(name: str, lookup: Lookup) -> str | None:
    """What bash finds out about the process that reads the file."""
    if name == "HOME":
        return home("", lookup)
    if os.name != "posix":
        return None
    made = {"HOSTNAME": lambda: os.uname().nodename, "UID": lambda: str(os.getuid()), "EUID": lambda: str(os.geteuid())}
    return made[name]() if name in made else None
