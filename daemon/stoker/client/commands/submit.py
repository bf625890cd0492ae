"""``stoker submit``: run a program in the cluster (spec 2.4)."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Mapping

from stoker.client.commands.common import (
    add_connection_arguments,
    add_resource_arguments,
    add_sharing_arguments,
    comma_list,
    configured,
    connected,
    memory,
    named_resources,
    program_words,
    sharing_conf,
    time_limit,
    whole,
)
from stoker.client.commands.dry_run import HELP as DRY_RUN
from stoker.client.commands.dry_run import dry_run
from stoker.client.notices import deliver, say
from stoker.client.submit.environment import add_environment_arguments, environment
from stoker.client.submit.submission import Options, describe
from stoker.config.client import ClientConfig
from stoker.errors import UsageError

_EPILOG = """\
APP is a file on this machine, which is uploaded, or a URL: the worker downloads http(s):, hdfs: and s3:, copies file: and
uses local: where it is. Its suffix decides how it is run: a Python script (.py), a Python archive (.pyz, .whl), a Java
archive (.jar), else an executable. Options after APP belong to the program.

Without --wait, submit prints the submission id. With --wait it prints the program's stdout and stderr, and exits with its
exit code (128 + n for signal n). Ctrl-C then leaves the program running, unless --kill-on-interrupt is given.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "stoker submit [OPTIONS] APP [ARGUMENT...]\n       stoker submit --status ID | --kill ID"
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_connection_arguments(parser)
    option = parser.add_argument
    option("--name", metavar="NAME", default="", help="shown by 'stoker status'; default: the program's name")
    option(
        "--deploy-mode",
        choices=["cluster", "client"],
        default="cluster",
        help="run it in the cluster, or on this machine",
    )
    option(
        "--class",
        dest="main_class",
        metavar="MAIN",
        default="",
        help="entry point: package.module:function, or a class",
    )
    option(
        "--driver-cores", metavar="N", help="cores of the program (spark.driver.cores, default 1; 0 if it only waits)"
    )
    option("--driver-memory", metavar="SIZE", help="memory of the program (spark.driver.memory, default 1g)")
    add_resource_arguments(parser, "the program", "spark.driver")
    option("--supervise", action="store_true", help="restart the program when it fails or loses its worker")
    option("--time-limit", metavar="TIME", help="stop an attempt that runs longer, such as 2h (spark.stoker.timeLimit)")
    option(
        "--after",
        metavar="ID,..[:END]",
        default="",
        help="start it when these drivers have ended; :ok (default), :any or :failed says how each must end",
    )
    option(
        "--array",
        metavar="RANGES",
        help="run it once for each index, such as 1-1000, 0-99:10 or 1,5,7-9; with %%20 at most 20 at once",
    )
    option("--hold", action="store_true", help="do not start it before 'stoker release ID'")
    option("--files", metavar="F,..", help="files for the program's directory")
    option("--py-files", metavar="F,..", help=".py, .zip, .egg and .whl files for its PYTHONPATH")
    option("--jars", metavar="F,..", help=".jar files for its class path")
    add_environment_arguments(parser, "the program")
    option("--conf", metavar="K=V", action="append", default=[], help="a spark.* property; may be repeated")
    option("--properties-file", metavar="FILE", help="read instead of spark-defaults.conf")
    option("--total-executor-cores", metavar="N", help="cores of all its executors together (spark.cores.max)")
    option("--executor-cores", metavar="N", help="cores of each executor (spark.executor.cores)")
    option("--executor-memory", metavar="SIZE", help="memory of each executor (spark.executor.memory)")
    add_sharing_arguments(parser)
    option("--dry-run", action="store_true", help=DRY_RUN)
    option("--wait", action="store_true", help="print its output, and exit with its exit code")
    option("--kill-on-interrupt", action="store_true", help="with --wait: Ctrl-C kills the program")
    option("--status", metavar="ID", help="show one submission, like 'stoker status ID'")
    option("--kill", metavar="ID", help="kill one submission, like 'stoker kill ID'")
    option("app", nargs=argparse.REMAINDER, metavar="APP [ARGUMENT...]", help="the program and its arguments")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    words = program_words(args.app)
    if args.status is not None or args.kill is not None:
        if words or (args.status is not None and args.kill is not None):
            raise UsageError("--status ID and --kill ID take no further arguments")
        return _about_one(args, environ)
    if not words:
        raise UsageError("nothing to submit: stoker submit [OPTIONS] APP [ARGUMENT...]")
    if args.kill_on_interrupt and not args.wait:
        raise UsageError("--kill-on-interrupt needs --wait")
    if args.array is not None and args.deploy_mode == "client":
        raise UsageError("--array runs in the cluster, and --deploy-mode client does not: leave one of them out")
    if args.array == "":
        raise UsageError("--array must not be empty: write it like --array 1-1000, or leave it out")
    if args.dry_run and args.deploy_mode == "client":
        raise UsageError("--dry-run asks the cluster, and --deploy-mode client does not: leave one of them out")
    config = configured(args, environ)
    options = _options(args, words, config, environ)
    if args.deploy_mode == "client":
        if not hasattr(signal, "sigwaitinfo"):
            raise UsageError("--deploy-mode client needs Linux: leave it out, and the program runs in the cluster")
        from stoker.client.commands.here import run_here  # noqa: PLC0415 - the rarer way

        return run_here(options, config, environ)
    with connected(args, config) as client:
        driver = describe(options, config, client.book)
        if args.dry_run:
            return dry_run(client, driver)
        if (args.wait or config.waits) and driver.array:
            from stoker.client.commands.wait_array import submit_array_and_wait  # noqa: PLC0415 - the rarer way

            return submit_array_and_wait(client, driver, kill_on_interrupt=args.kill_on_interrupt)
        if args.wait or config.waits:
            from stoker.client.commands.wait import submit_and_wait  # noqa: PLC0415 - not for a submission that does not wait

            return submit_and_wait(client, driver, kill_on_interrupt=args.kill_on_interrupt)
        driver_id = client.submit(driver)
    deliver(driver_id, deed=f"{driver_id} is submitted")
    return 0


def _about_one(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from stoker.client.commands import kill, status  # noqa: PLC0415 - not for a submission

    if args.status is not None:
        vars(args).update(dict.fromkeys(status.FILTERS), id=args.status, json=False, all=False)
        return status.run(args, environ)
    args.ids, args.no_wait, args.admin = [args.kill], False, False
    return kill.run(args, environ)


def _options(args: argparse.Namespace, words: list[str], config: ClientConfig, environ: Mapping[str, str]) -> Options:
    limits = {
        "spark.cores.max": whole("--total-executor-cores", args.total_executor_cores),
        "spark.executor.cores": whole("--executor-cores", args.executor_cores),
    }
    memory("--executor-memory", args.executor_memory)
    settings = (setting.partition("=") for setting in args.conf)
    conf = {name.strip(): value for name, _, value in settings}
    conf |= {name: str(value) for name, value in limits.items() if value is not None}
    conf |= sharing_conf(args)
    conf |= named_resources(args, "spark.driver")
    if args.executor_memory is not None:
        conf["spark.executor.memory"] = args.executor_memory
    for name in sorted(config.properties):
        if not name.startswith("spark."):
            say(f"warning: ignoring {name}: it is not a spark.* property")
    return Options(
        app=words[0],
        args=words[1:],
        name=args.name,
        main_class=args.main_class,
        files=comma_list(args.files),
        py_files=comma_list(args.py_files),
        jars=comma_list(args.jars),
        env=environment(args, environ),
        conf=conf,
        cores=whole("--driver-cores", args.driver_cores, 0),
        memory_mib=memory("--driver-memory", args.driver_memory),
        supervise=args.supervise,
        time_limit=time_limit(args.time_limit),
        hold=args.hold,
        after=args.after,
        array=args.array or "",
    )
