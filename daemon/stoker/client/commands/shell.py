"""``stoker shell``: an interactive Python with a connected application, like Spark's shells."""

from __future__ import annotations

import argparse
import code
import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import stoker
from stoker.client.application.connect import App, connect
from stoker.client.commands.common import configured, whole
from stoker.client.notices import say
from stoker.config.client import add_client_arguments
from stoker.errors import Refused
from stoker.version import __version__

ENGINES = ("dask", "ray", "spark")

_EPILOG = """\
The shell has `app` (stoker.connect), and `client`: a dask.distributed.Client, or the module ray. With --engine spark it has
`spark` and `sc` instead. Ctrl-D ends the shell and its executors. MASTER names the cluster, as for every command.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    add_client_arguments(parser)
    option = parser.add_argument
    option("-c", "--total-executor-cores", metavar="N", help="cores of all executors together (spark.cores.max)")
    option("--executor-cores", metavar="N", help="cores of each executor (spark.executor.cores)")
    option("--executor-memory", metavar="SIZE", help="memory of each executor (spark.executor.memory, default 1g)")
    option("--engine", choices=ENGINES, default="dask", help="the engine of the executors (default %(default)s)")
    option("--name", metavar="NAME", default="stoker shell", help="shown by `stoker status`")
    option("--conf", metavar="K=V", action="append", default=[], help="a spark.* property; may be repeated")
    option("--properties-file", metavar="FILE", help="read instead of spark-defaults.conf")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    options = {
        "spark.cores.max": whole("--total-executor-cores", args.total_executor_cores),
        "spark.executor.cores": whole("--executor-cores", args.executor_cores),
        "spark.executor.memory": args.executor_memory,
    }
    args.conf += [f"{name}={value}" for name, value in options.items() if value is not None]
    config = configured(args, environ)
    conf = {name: value for name, value in config.properties.items() if name.startswith("spark.")}
    ready = (
        _spark(config.url, args.name, conf)
        if args.engine == "spark"
        else _engine(config.url, args.name, conf, args.engine)
    )
    with ready as (names, banner):
        if not sys.stdin.isatty():
            return _run_piped(names)
        _interact(names, f"Stoker {__version__}, Python {sys.version.split()[0]}\n{banner}")
    return 0


@contextlib.contextmanager
def _engine(url: str, name: str, conf: Mapping[str, str], engine: str) -> Iterator[tuple[dict[str, Any], str]]:
    with connect(url, name=name, conf=conf) as app:
        client = app.ray() if engine == "ray" else app.dask()
        what = "the module ray" if engine == "ray" else "dask.distributed.Client"
        names = {"stoker": stoker, "app": app, "client": client}
        if engine == "ray":
            names["ray"] = client
        yield names, f"  app     {_words(app)}\n  client  {what}; its workers are the application's executors"


def _words(app: App) -> str:
    count = len(app.executors)
    return f"{app.app_id} on {app.master}, {count} executor{'' if count == 1 else 's'} so far"


@contextlib.contextmanager
def _spark(url: str, name: str, conf: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], str]]:
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415 - large, and an extra
    except ImportError as error:
        raise Refused(
            f"Spark cannot be imported here ({error.name}): {sys.executable} -m pip install pyspark"
        ) from None
    builder = SparkSession.builder.master(url).appName(name)
    for key, value in conf.items():
        if key not in ("spark.master", "spark.app.name"):
            builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # whatever py4j makes of it
        raise Refused(f"Spark cannot connect to {url}: {str(error).strip().splitlines()[0]}") from None
    try:
        sc = spark.sparkContext
        banner = f"  spark   SparkSession, Spark {spark.version}\n  sc      {sc.applicationId} on {url}"
        yield {"stoker": stoker, "spark": spark, "sc": sc}, banner
    finally:
        spark.stop()


def _run_piped(names: dict[str, Any]) -> int:
    """Runs stdin as ``python < FILE`` does: all of it at once, until the first error. Its exit code."""
    program = _Program({"__name__": "__main__", **names})
    try:
        source = compile(sys.stdin.read(), "<stdin>", "exec")
    except (SyntaxError, ValueError):  # the latter: null bytes, or not UTF-8
        program.showsyntaxerror("<stdin>")
        return 1
    try:
        program.runcode(source)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    return 1 if program.failed else 0


class _Program(code.InteractiveInterpreter):
    """Knows whether there was an error."""

    failed = False

    def showtraceback(self) -> None:
        self.failed = True
        super().showtraceback()


def _interact(names: dict[str, Any], banner: str) -> None:
    """IPython, or without it Python's own console."""
    try:
        from IPython import start_ipython  # noqa: PLC0415 - large, and an extra
        from traitlets.config import Config  # noqa: PLC0415
    except ImportError:
        say(f"{sys.executable} -m pip install ipython for a better prompt")
        with contextlib.suppress(SystemExit):
            code.interact(banner, local=names, exitmsg="")
        return
    settings = Config()
    settings.TerminalIPythonApp.display_banner = False
    settings.TerminalInteractiveShell.confirm_exit = False
    print(banner)
    start_ipython(argv=[], user_ns=names, config=settings)
