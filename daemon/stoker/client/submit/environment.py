"""The environment of a submitted program: ``--env NAME=VALUE``, ``--env NAME`` and ``--env-file FILE``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from stoker.errors import UsageError

_MOST = 1 << 20  # bytes of a file of variables


def add_environment_arguments(parser: argparse.ArgumentParser, program: str) -> None:
    """Add ``--env`` and ``--env-file``; ``program`` names what gets the variables."""
    option = parser.add_argument
    option("--env", metavar="K[=V]", action="append", default=[],
           help=f"environment of {program}; K alone: the value that K has here, so that a secret is not on the command"
                " line; may be repeated")  # fmt: skip
    option("--env-file", metavar="FILE", action="append", default=[],
           help="read such variables from FILE, one a line; --env wins; may be repeated")  # fmt: skip


def environment(args: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ``--env-file`` and ``--env``; ``environ`` has the values of those that are only named.
    Raises UsageError, without any value in its text."""
    variables: dict[str, str] = {}
    for name in args.env_file:
        variables.update(_from_file(Path(name), environ))
    variables.update(parse_environment(args.env, environ))
    return variables


def parse_environment(settings: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ``--env`` options. Raises UsageError."""
    env = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not name:
            raise UsageError(f"--env {setting!r} is not NAME=VALUE or NAME, e.g. --env MODE=fast")
        env[name] = value if equals else _here(name, environ, f"--env {name}")
    return env


def _here(name: str, environ: Mapping[str, str], where: str) -> str:
    try:
        return environ[name]
    except KeyError:
        raise UsageError(f"{where}: {name!r} is not set here: `export {name}=...`, or write {name}=VALUE") from None


def _from_file(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Read lines NAME=VALUE or NAME. The value is the rest of the line as it is: quotes belong to it."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
        text = data.decode()
    except OSError as error:
        raise UsageError(f"--env-file: cannot read {str(path)!r}: {error.strerror}") from None
    except ValueError:  # not UTF-8, or NUL in the path
        raise UsageError(f"--env-file: {str(path)!r} is not UTF-8 text") from None
    if len(data) > _MOST:
        raise UsageError(f"--env-file: {path} has more than 1 MiB")
    variables = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.lstrip().partition("=")
        where = f"--env-file: line {number} of {path}"
        if not name.replace("_", "a").isalnum() or name[0].isdigit():
            raise UsageError(f"{where} is not NAME=VALUE or NAME (without quotes, spaces or `export`)")
        variables[name] = value if equals else _here(name, environ, where)
    return variables
