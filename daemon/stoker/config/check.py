"""``stoker config check FILE...``: is this spark-env or spark-defaults.conf one that daemons would start with?"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path

from stoker.config.master import add_master_arguments, master_config
from stoker.config.registry import PROPERTIES, VARIABLES
from stoker.config.sources import Setting, Settings, read_properties, unknown_properties
from stoker.config.spark_env import parse_spark_env
from stoker.config.worker import add_worker_arguments, worker_config
from stoker.errors import ConfigError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"], help="check files before they replace the ones in use")
    parser.add_argument(
        "--as",
        dest="kind",
        choices=["spark-env", "spark-defaults"],
        help="what the files are (default: by their names)",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="spark-env or spark-defaults.conf")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 when all is well; else a line for each problem on stderr and 1. Raises UsageError."""
    problems: list[str] = []
    for name in args.files:
        path = Path(name)
        problems += find_problems(path, environ if (args.kind or _kind(path)) == "spark-env" else None)
    for problem in problems:
        print(f"stoker: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _kind(path: Path) -> str:
    """By its name. Every text can be read as properties, so no other file is taken for them."""
    if "env" in path.name:
        return "spark-env"
    if "defaults" in path.name or path.suffix in (".conf", ".properties"):
        return "spark-defaults"
    raise UsageError(f"{path}: is it a spark-env or a spark-defaults? Say it with --as")


def find_problems(path: Path, environ: Mapping[str, str] | None) -> list[str]:
    """A line for each reason why daemons would not start with this spark-env (to be read in ``environ``) or, if that is
    None, this spark-defaults.conf. Each names the file and the setting."""
    return _check_defaults(path) if environ is None else _check_env(path, environ)


def _check_env(path: Path, environ: Mapping[str, str]) -> list[str]:
    try:
        values = parse_spark_env(path, environ)
    except ConfigError as error:
        return [str(error)]
    problems = []
    for name in values:
        if name.startswith(("SPARK_", "STOKER_")) and name not in VARIABLES:
            near = difflib.get_close_matches(name, VARIABLES, 1)
            problems.append(f"{path} sets the unknown variable {name}" + (f": did you mean {near[0]}?" if near else ""))
    return problems + _try_daemons({"SPARK_CONF_DIR": "/nonexistent", "HOME": "/nonexistent", **values}, path)


def _try_daemons(environ: dict[str, str], path: Path) -> list[str]:
    environ = {**environ, "SPARK_CONF_DIR": "/nonexistent"}
    problems = []
    for daemon in ("master", "worker"):
        parser = argparse.ArgumentParser(add_help=False)
        try:
            if daemon == "master":
                add_master_arguments(parser)
                found = master_config(parser.parse_args([]), environ).warnings
            else:
                add_worker_arguments(parser)
                found = worker_config(parser.parse_args(["spark://localhost"]), environ).warnings
        except UsageError as error:
            problems.append(f"{path}: {error}")
            continue
        problems += [f"{path}: {line}" for line in found if "unknown" in line]
    return list(dict.fromkeys(problems))


def _check_defaults(path: Path) -> list[str]:
    try:
        values = read_properties(path)
    except ConfigError as error:
        return [str(error)]
    settings = Settings(environ={}, conf_dir=Path("/nonexistent"))
    settings.properties = {name: Setting(value, str(path)) for name, value in values.items()}
    problems = [line for line in unknown_properties(settings.properties) if "unknown" in line]
    for name in settings.properties:
        if name in PROPERTIES:
            try:
                settings.get(name)
            except ConfigError as error:
                problems.append(str(error))
    return problems
