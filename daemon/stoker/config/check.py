"""``stoker config check FILE...``: would daemons start with these files?
``stoker config import FILE``: have bash read a spark-env.sh once, and print plain values.
``stoker config show``: every setting that counts here, and where it comes from (``config.show``)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from stoker.config.bash_import import import_spark_env
from stoker.config.master import add_master_arguments, master_config
from stoker.config.pools import parse_pools
from stoker.config.registry import PROPERTIES
from stoker.config.sources import SLIP, Setting, Settings, read_properties, unknown_properties
from stoker.config.spark_env import parse_spark_env, read_text
from stoker.config.users_file import parse_users
from stoker.config.variables import VARIABLES
from stoker.config.web import certificate_of
from stoker.config.worker import add_worker_arguments, worker_config
from stoker.errors import ConfigError, UsageError, did_you_mean
from stoker.security.files import check_closed
from stoker.security.spark_secrets import SETTING, parse_secrets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker config check FILE... | import FILE | show"
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", prog="stoker config")
    check = actions.add_parser("check", description="check whether daemons would start with the files")
    check.add_argument(
        "--as",
        dest="kind",
        choices=["spark-env", "spark-defaults", "pools", "users", "spark-clients"],
        help="what the files are (default: by their names)",
    )
    check.add_argument("--strict", action="store_true", help="a probably misspelt name is a problem, too")
    check.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="spark-env, spark-defaults.conf, pools.yml, users.yml, or the file of spark.stoker.gateway.secretsFile",
    )
    bash = actions.add_parser("import", description="run one spark-env.sh in bash, print its values")
    bash.add_argument(
        "--format", choices=["env", "yaml"], default="env", help="a spark-env, or spark_env of an inventory"
    )
    bash.add_argument("file", metavar="FILE", help="spark-env.sh")
    show = actions.add_parser("show", description="show every setting that counts here, its value and its source")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.add_argument("--properties-file", metavar="FILE", help="properties (default: CONF_DIR/spark-defaults.conf)")
    show.add_argument("--conf", action="append", default=[], metavar="NAME=VALUE", help="a property, as submit has it")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 when daemons would start with all of it, else 1 and a line for each problem on stderr. Raises UsageError."""
    if args.action == "show":
        from stoker.config.show import show  # noqa: PLC0415 - the other actions do without

        return show(environ, properties_file=args.properties_file, options=args.conf, as_json=args.json)
    if args.action == "import":
        return import_spark_env(Path(args.file), environ, args.format)
    failed = False
    for name in args.files:
        path = Path(name)
        kind = args.kind or _kind(path)
        problems, doubts = (
            (check_file(path, kind), [])
            if kind in _CHECKS
            else find_problems(path, environ if kind == "spark-env" else None)
        )
        for line in problems:
            print(f"stoker: {line}", file=sys.stderr)
        for line in doubts:
            print(f"stoker: warning: {line}", file=sys.stderr)
        failed = failed or bool(problems or (args.strict and doubts))
    return 1 if failed else 0


def _kind(path: Path) -> str:
    """By its name. Every text can be read as properties, so no other file is taken for them."""
    if "env" in path.name:
        return "spark-env"
    if "defaults" in path.name or path.suffix in (".conf", ".properties"):
        return "spark-defaults"
    if path.suffix in (".yml", ".yaml"):
        return "users" if path.name.startswith("users") else "pools"
    if path.name == "spark-clients":
        return "spark-clients"
    raise UsageError(f"{path}: is it a spark-env or a spark-defaults? Say it with --as")


def _check_pools(path: Path) -> list[str]:
    return parse_pools(read_text(path), str(path))[1]


def _check_users(path: Path) -> list[str]:
    return parse_users(read_text(path), str(path))[1]


def _check_clients(path: Path) -> list[str]:
    check_closed(path, SETTING)
    return parse_secrets(read_text(path), str(path))[1]


def check_file(path: Path, kind: str) -> list[str]:
    """A line for each fault of a file that is neither a spark-env nor a spark-defaults.conf."""
    try:
        return _CHECKS[kind](path)
    except ConfigError as error:
        return [str(error)]


_CHECKS: dict[str, Callable[[Path], list[str]]] = {
    "pools": _check_pools,
    "users": _check_users,
    "spark-clients": _check_clients,
}


def find_problems(path: Path, environ: Mapping[str, str] | None) -> tuple[list[str], list[str]]:
    """The reasons why daemons would not start with this spark-env (read in ``environ``) or, if that is None, this
    spark-defaults.conf; and the names in it that are probably misspelt. Each line names the file and the setting."""
    return _check_defaults(path) if environ is None else _check_env(path, environ)


def _check_env(path: Path, environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    try:
        values = parse_spark_env(path, environ).values
    except ConfigError as error:
        return [str(error)], []
    doubts = []
    for name in values:
        hint = "" if name in VARIABLES else did_you_mean(name, VARIABLES, likeness=SLIP)
        if hint:
            doubts.append(f"{path} sets the unknown variable {name}: {hint}")
    problems, more = _try_daemons({"HOME": "/nonexistent", **values}, path)
    return problems, doubts + more


def _try_daemons(environ: dict[str, str], path: Path) -> tuple[list[str], list[str]]:
    environ = {**environ, "SPARK_CONF_DIR": "/nonexistent"}
    problems, doubts = [], []
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
        doubts += [f"{path}: {line}" for line in found if "unknown" in line]
    return list(dict.fromkeys(problems)), list(dict.fromkeys(doubts))


def _check_defaults(path: Path) -> tuple[list[str], list[str]]:
    try:
        values = read_properties(path)
    except ConfigError as error:
        return [str(error)], []
    settings = Settings(environ={}, conf_dir=Path("/nonexistent"))
    settings.properties = {name: Setting(value, str(path)) for name, value in values.items()}
    problems = []
    for name in settings.properties:
        if name in PROPERTIES:
            try:
                settings.get(name)
            except ConfigError as error:
                problems.append(str(error))
    if not problems:
        try:
            certificate_of(settings)
        except ConfigError as error:
            problems.append(f"{path}: {error}")
    return problems, unknown_properties(settings.properties)
