"""``spark-env``: read as bash reads assignments, never executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from stoker.errors import ConfigError


class SparkEnv(msgspec.Struct):
    """``values`` by name; ``extends`` are those that contain what the process environment had for the same name, so
    that they replace it (``PATH="$PATH:/opt/bin"``, ``SPARK_MASTER_OPTS+=" -Dx=1"``)."""

    values: dict[str, str] = {}
    extends: set[str] = set()


def find_spark_env(conf_dir: Path) -> Path | None:
    """The file of that folder that daemons and commands read."""
    candidates = (conf_dir / name for name in ("spark-env", "spark-env.sh"))
    return next((path for path in candidates if path.exists()), None)


def parse_spark_env(path: Path, environ: Mapping[str, str]) -> SparkEnv:
    """The file's variables. A variable that is also in ``environ`` is expanded to its value there: the environment beats
    the file (docs/configuration.md).

    Raises ConfigError, naming file and line, for anything but assignments, comments and blank lines.
    """
    from stoker.config.shell_words import ShellSyntax, read_assignments  # noqa: PLC0415 - for commands without such a file

    found = SparkEnv()

    def lookup(name: str) -> str | None:
        if name in found.extends:
            return found.values[name]
        return environ[name] if name in environ else found.values.get(name)

    try:
        for assignment in read_assignments(read_text(path), lookup, found.values.__setitem__):
            if assignment.value is None:
                continue
            found.values[assignment.name] = assignment.value
            if assignment.own and assignment.name in environ:
                found.extends.add(assignment.name)
    except ShellSyntax as error:
        hint = f"; write the result itself, or have bash read the file once: stoker config import {path}"
        raise ConfigError(f"{path}:{error.line}: {error.reason}{hint if error.is_bash else ''}") from None
    return found


def read_text(path: Path) -> str:
    """A configuration file's text with its line ends as they are. Raises ConfigError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if "\0" in text:
        raise ConfigError(f"{path}:{text.count(chr(10), 0, text.index(chr(0))) + 1}: a NUL character in a text file")
    return text
