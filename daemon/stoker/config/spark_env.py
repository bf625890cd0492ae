"""``spark-env``: read as a shell would read plain assignments, never executed.

python-dotenv splits the file into assignments; what a value means follows the shell: single quotes are literal, else
``$NAME``, ``${NAME}`` and ``${NAME:-default}`` stand for a variable, ``\\$`` for a dollar, and a backslash at the end of
a line joins it to the next."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from stoker.errors import ConfigError

_EXPANSION = re.compile(
    r"\\\n\s*|\\\$|\$\{(?P<braced>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|\$(?P<bare>[A-Za-z_]\w*)|(?P<bad>\$\{|\$\(|`)"
)
_SHELL_SYNTAX = re.compile(r"[\s;|&<>]")


def find_spark_env(conf_dir: Path) -> Path | None:
    """The file of that folder that daemons and commands read."""
    candidates = (conf_dir / name for name in ("spark-env", "spark-env.sh"))
    return next((path for path in candidates if path.exists()), None)


def parse_spark_env(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The file's variables. One that is also in ``environ`` is expanded as it is there: that is the value in force.

    Raises ConfigError, naming file and line, for anything but assignments, comments and blank lines.
    """
    from dotenv.parser import parse_stream  # noqa: PLC0415 - only where there is such a file

    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(read_text(path))):
        text = binding.original.string.strip()
        where = f"{path}:{binding.original.line}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(f"{where}: {text.splitlines()[0]!r} is not NAME=VALUE, and this file is read, not run")
        if binding.key is not None:
            quote = text.partition("=")[2].lstrip()[:1]
            values[binding.key] = _value(binding.value or "", quote, {**values, **environ}, f"{where}: {binding.key}")
    return values


def _value(text: str, quote: str, known: Mapping[str, str], where: str) -> str:
    if quote == "'":
        return text

    def resolve(match: re.Match[str]) -> str:
        if match["bad"] == "${":
            raise ConfigError(f"{where}: of a shell's expansions only ${{NAME}} and ${{NAME:-default}} are known here")
        if match["bad"]:
            raise ConfigError(f"{where} runs a command; write its result instead")
        name = match["braced"] or match["bare"]
        if name:
            return known.get(name) or match["default"] or ""
        return "$" if match[0] == "\\$" else ""

    expanded = _EXPANSION.sub(resolve, text)
    if quote != '"' and _SHELL_SYNTAX.search(text):
        raise ConfigError(f"{where}: {text!r} needs quotes around it")
    return expanded


def read_text(path: Path) -> str:
    """A configuration file's text. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
