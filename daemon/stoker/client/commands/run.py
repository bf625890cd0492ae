"""``stoker run [OPTIONS] -- COMMAND...``: one command in every executor of an application (docs/applications.md)."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import PurePath

from stoker.client.application.app import Application
from stoker.client.application.resources import min_executors, wanted_sharing, with_queue
from stoker.client.application.run import Run, run_application
from stoker.client.commands.common import (
    add_resource_arguments,
    add_sharing_arguments,
    named_resources,
    sharing_conf,
    time_limit,
)
from stoker.client.commands.dry_run import HELP as DRY_RUN
from stoker.client.commands.dry_run import dry_run
from stoker.client.logs.output import Output
from stoker.client.notices import say
from stoker.client.submit.environment import add_environment_arguments, environment
from stoker.config.client import ClientConfig, add_client_arguments, client_config, user_name
from stoker.config.types import parse_disk_limit, parse_memory, parse_time_limit
from stoker.core.application.machine import REGISTRATION_TIMEOUT
from stoker.core.model.limits import EXECUTOR_DISK_PROPERTY
from stoker.core.model.resources import amounts_in
from stoker.core.model.values import ApplicationDescription, Command
from stoker.errors import UsageError
from stoker.io.log_lines import set_up_root
from stoker.security.keys import Keys

_EPILOG = """\
Without --total-executor-cores the application gets all free cores, or spark.deploy.defaultCores if the master sets that.
Without --executor-cores there is one executor on each worker. The worker replaces {{EXECUTOR_ID}} {{CORES}} {{GPUS}}
{{HOSTNAME}} {{APP_ID}} {{WORKER_URL}} in COMMAND and in the values of --env. COMMAND is looked up on the worker, and runs in
a directory of its own. Exit code: 0 if every executor exited with 0, else the highest.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker run [OPTIONS] -- COMMAND [ARGUMENT...]"
    parser.description = "Run COMMAND in every executor of a new application, and print their output."
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_client_arguments(parser)
    option = parser.add_argument
    option("--total-executor-cores", metavar="N", help="cores of all executors together (spark.cores.max)")
    option("--executor-cores", metavar="N", help="cores of each executor (spark.executor.cores)")
    option("--executor-memory", metavar="SIZE", help="memory of each executor (spark.executor.memory, default 1g)")
    option("--min-executors", metavar="N", help="begin with so many executors at once (spark.stoker.app.minExecutors)")
    add_sharing_arguments(parser)
    add_resource_arguments(parser, "each executor", "spark.executor")
    option(
        "--time-limit", metavar="TIME", help="end it when an executor runs longer, such as 2h (spark.stoker.timeLimit)"
    )
    option("--name", metavar="NAME", help="shown by `stoker status`; default: the command's name")
    add_environment_arguments(parser, "COMMAND")
    option("--conf", metavar="K=V", action="append", default=[], help="a spark.* property; may be repeated")
    option("--properties-file", metavar="FILE", help="read instead of spark-defaults.conf")
    option("--dry-run", action="store_true", help=DRY_RUN)
    option("--label", action="store_true", help="begin every line of output with `EXECUTOR_ID: `")
    option(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=REGISTRATION_TIMEOUT,
        help="give up when no master has answered for this long (default %(default)g)",
    )
    option("command", nargs=argparse.REMAINDER, metavar="COMMAND...", help="what each executor runs")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    config = client_config(args, environ)
    description = describe(args, config, environ)
    if not args.timeout > 0:
        raise UsageError("--timeout must be a positive number of seconds, e.g. --timeout 60")
    if args.dry_run:
        from stoker.client.api import Client  # noqa: PLC0415 - the rarer way

        with Client(config=config, timeout=args.timeout, notice=say) as client:
            return dry_run(client, description)
    keys = Keys.open(config.keys_dir, create=None) if config.authenticate else None
    output = Output(sys.stdout.buffer, sys.stderr.buffer, label=args.label)
    for warning in config.warnings:
        output.say(f"warning: {warning}")
    _configure_logging(environ)
    watcher = Run(output)
    app = Application(
        config.masters,
        description,
        keys=keys,
        on_event=watcher.on_event,
        registration_timeout=args.timeout,
    )
    return run_application(app, watcher)


def describe(args: argparse.Namespace, config: ClientConfig, environ: Mapping[str, str]) -> ApplicationDescription:
    """Describe the application. Raises UsageError."""
    argv = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not argv or not argv[0]:
        raise UsageError("nothing to run: stoker run [OPTIONS] -- COMMAND [ARGUMENT...]")
    prefix = "spark.executor"
    properties = {**config.properties, **sharing_conf(args), **named_resources(args, prefix)}
    pool, priority = wanted_sharing(properties)
    memory = args.executor_memory or properties.get("spark.executor.memory") or "1g"
    max_cores = args.total_executor_cores or properties.get("spark.cores.max")
    executor_cores = args.executor_cores or properties.get("spark.executor.cores")
    try:
        return ApplicationDescription(
            name=args.name or properties.get("spark.app.name") or PurePath(argv[0]).name,
            command=with_queue(
                Command(argv=tuple(argv), env={**config.forwarded_env, **environment(args, environ)}), properties
            ),
            user=user_name(),
            max_cores=_cores("--total-executor-cores", max_cores),
            cores_per_executor=_cores("--executor-cores", executor_cores),
            memory_mib=parse_memory(memory),
            finite=True,
            pool=pool,
            priority=priority,
            resources=amounts_in(properties, prefix),
            min_executors=_cores("--min-executors", args.min_executors) or min_executors(properties),
            time_limit=_time_limit(args.time_limit, properties.get("spark.stoker.timeLimit")),
            max_disk_mib=_max_disk(properties.get(EXECUTOR_DISK_PROPERTY)),
        )
    except ValueError as error:  # raised by the description itself
        raise UsageError(str(error)) from None


def _configure_logging(environ: Mapping[str, str]) -> None:
    """Users get single lines; the log is for debugging."""
    if environ.get("STOKER_DEBUG") == "1":
        set_up_root(logging.DEBUG, "%(relativeCreated)d %(name)s: %(message)s")
    else:
        logging.getLogger("stoker").addHandler(logging.NullHandler())


def _cores(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    text = text.strip()
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"{option} must be a whole number of at least 1, not {text!r}, e.g. {option} 4")
    return int(text)


def _max_disk(given: str | None) -> int:
    try:
        return parse_disk_limit(given) if given else 0
    except UsageError as error:
        raise UsageError(f"{EXECUTOR_DISK_PROPERTY}: {error}") from None


def _time_limit(said: str | None, default: str | None) -> float:
    try:
        return time_limit(said) or (parse_time_limit(default) if default else 0.0)
    except UsageError as error:
        raise error if said else UsageError(f"spark.stoker.timeLimit: {error}") from None
