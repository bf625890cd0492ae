"""``stoker config import``: bash runs a ``spark-env.sh`` once on this machine; the values it sets are printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from stoker.errors import Refused, UsageError

_TIMEOUT = 60.0  # seconds that the file may take
# Spark's load-spark-env.sh reads it this way. The file's own output must not mix with the variables.
_SCRIPT = 'set -a; . "$1" >/dev/null </dev/null; set +a; exec env -0'
_OF_BASH = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "BASHOPTS", "SHELLOPTS", "RANDOM"})
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_RUNS_A_COMMAND = re.compile(r"\$\(|`")


def import_spark_env(path: Path, environ: Mapping[str, str], form: Literal["env", "yaml"]) -> int:
    """Print what ``path`` sets. Raises UsageError without bash, and Refused for a file that fails or sets nothing."""
    values = read_with_bash(path, environ)
    if not values:
        raise Refused(f"{path} sets no variable")
    lines = sorted(values.items())
    if form == "yaml":
        print("spark_env:")
        print("\n".join(f"  {name}: {_yaml_string(value)}" for name, value in lines))
    else:
        print("\n".join(f"{name}={quoted(value)}" for name, value in lines))
    if _RUNS_A_COMMAND.search(path.read_text(encoding="utf-8", errors="replace")):
        print(
            f"stoker: {path} runs commands: the values are those of this machine; look at what differs between hosts",
            file=sys.stderr,
        )
    return 0


def read_with_bash(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that differ after bash has read the file. Raises UsageError and Refused."""
    bash = shutil.which("bash", path=environ.get("PATH"))
    if bash is None:
        raise UsageError("config import needs bash, which is not on PATH")
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    command = [bash, "--norc", "-c", _SCRIPT, "bash", str(path.absolute())]
    try:
        done = subprocess.run(command, env=dict(environ), capture_output=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise Refused(f"{path} has not ended after {_TIMEOUT:g} s") from None
    if not done.stdout and not done.returncode:
        raise Refused(f"{path} ends the shell that reads it: remove its exit or exec")
    said = done.stderr.decode("utf-8", "replace").splitlines()
    errors = [line for line in said if line.startswith(f"{path.absolute()}: line ")]  # bash's own
    if done.returncode or errors:
        raise Refused(f"bash cannot read {path}: {(errors or said or [f'exit code {done.returncode}'])[0]}")
    for line in said:
        print(line, file=sys.stderr)
    pairs = [entry.partition("=") for entry in done.stdout.decode("utf-8", "surrogateescape").split("\0")]
    values = {
        name: value
        for name, _, value in pairs
        if name.isidentifier() and name not in _OF_BASH and environ.get(name) != value
    }
    for name, value in values.items():
        if any("\udc80" <= character <= "\udcff" for character in value):
            raise Refused(f"{path}: the value of {name} is not UTF-8 text")
    return values


def _yaml_string(value: str) -> str:
    """Return a double-quoted scalar. YAML allows fewer characters than JSON does."""
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def quoted(value: str) -> str:
    """Return ``value`` as a spark-env needs it."""
    return shlex.quote(value) if value else ""
