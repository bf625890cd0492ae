"""``stoker --via [USER@]HOST COMMAND...``: any client command, on a cluster whose ports this machine cannot reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stoker.errors import UsageError
from stoker.via.session import via

_DAEMONS = frozenset({"master", "worker", "relay", "tunnel", "config"})
_URL_FIRST = frozenset({"launch", "kill"})  # Spark's client: the master's URL is an argument


def run_via(
    words: Sequence[str], environ: Mapping[str, str], dispatch: Callable[[list[str], Mapping[str, str]], int]
) -> int:
    """``words`` follow ``--via``. The command runs here: files, output and exit code are this machine's."""
    if len(words) < 2:
        raise UsageError("--via is followed by [USER@]HOST and a command, like: stoker --via me@host status")
    target, command, *rest = words
    if command in _DAEMONS or command.startswith("-"):
        raise UsageError(f"--via is for commands that ask a cluster, not for {command!r}")
    if "--help" in rest:
        return dispatch([command, *rest], environ)
    master, kept = _take_master(command, rest)
    with via(target, environ, master=master) as there:
        return dispatch([command, *(there.url if word is None else word for word in kept)], there.environ)


def _take_master(command: str, words: list[str]) -> tuple[str | None, list[str | None]]:
    """Return the requested master, which the remote side has to resolve, and the words with None in place of its URL."""
    rest: list[str | None] = list(words)
    if command in _URL_FIRST:
        for index, word in enumerate(words):
            if word.startswith("spark://"):
                rest[index] = None
                return word, rest
    for index, word in enumerate(words):
        if word == "--":
            break
        if word == "--master" and index + 1 < len(words):
            rest[index + 1] = None
            return words[index + 1], rest
        if word.startswith("--master="):
            rest[index : index + 1] = ["--master", None]
            return word.partition("=")[2], rest
    return None, rest
