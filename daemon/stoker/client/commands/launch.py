"""``stoker launch``: submit with the options of Spark's first submission client (spec 2.3)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from stoker.client.commands.common import add_connection_arguments, configured, connected, memory, program_words, whole
from stoker.client.notices import deliver, say
from stoker.client.submit.environment import add_environment_arguments, environment
from stoker.client.submit.sources import program_kind
from stoker.client.submit.submission import Options, describe
from stoker.errors import UsageError

_EPILOG = """\
APP_URL is a URL that every worker can reach, or a file on this machine, which is uploaded. MAIN is the main class of a jar,
the entry point of a .pyz or .whl (package.module:function), or - for a program that has none (.py, an executable).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker launch [OPTIONS] CLUSTER_URL APP_URL MAIN [ARGUMENT...]"
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_connection_arguments(parser)
    option = parser.add_argument
    option("-m", "--memory", metavar="MB", help="memory of the program in MB (default 1024)")
    option("-c", "--cores", metavar="N", help="cores of the program (default 1)")
    option("-s", "--supervise", action="store_true", help="restart the program when it fails or loses its worker")
    option("-v", "--verbose", action="store_true", help="print what is submitted, and where")
    add_environment_arguments(parser, "the program")
    option(
        "words",
        nargs=argparse.REMAINDER,
        metavar="CLUSTER_URL APP_URL MAIN [ARGUMENT...]",
        help="the cluster, the program, its entry point and its arguments",
    )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    words = program_words(args.words)
    if args.master is None and words:
        args.master = words.pop(0)
    if len(words) < 2:
        raise UsageError(
            "write it like: stoker launch spark://host:7077 hdfs://host/job.jar com.example.Main [ARGUMENT...]"
        )
    app, main, *arguments = words
    config = configured(args, environ)
    has_entry_point = program_kind(app) in ("archive", "jar")
    if main != "-" and not has_entry_point:
        raise UsageError(f"{app} has no entry point to name: write - instead of {main!r}")
    options = Options(
        app=app,
        args=arguments,
        main_class="" if main == "-" else main,
        env=environment(args, environ),
        cores=whole("--cores", args.cores),
        memory_mib=memory("--memory", args.memory),
        supervise=args.supervise,
    )
    with connected(args, config) as client:
        driver = describe(options, config, client.book)
        if args.verbose:
            say(
                f"{driver.kind} {driver.main} {driver.main_class} with {driver.cores} cores and {driver.memory_mib} MiB"
            )
            say(f"submitting to {config.url}")
        if config.waits:
            from stoker.client.commands.wait import submit_and_wait  # noqa: PLC0415 - only for one that waits

            return submit_and_wait(client, driver, kill_on_interrupt=False)
        driver_id = client.submit(driver)
        if args.verbose:
            say(f"Driver successfully submitted as {driver_id} to {client.session.master}")
    deliver(driver_id, deed=f"{driver_id} is submitted")
    return 0
