"""The command line. Each command is a module with ``add_arguments(parser)`` and ``run(args, environ)``, imported only
when it is the one asked for: a submission must not wait for Flask."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence

from stoker.errors import StokerError, UsageError
from stoker.version import RELEASE

# command -> (module, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "master": ("stoker.master.command", "run a master"),
    "worker": ("stoker.worker.command", "run a worker"),
    "submit": ("stoker.client.commands.submit", "run a program in the cluster"),
    "launch": ("stoker.client.commands.launch", "the same, in the words of Spark's old submission client"),
    "kill": ("stoker.client.commands.kill", "end drivers and applications"),
    "run": ("stoker.client.commands.run", "run a command on executors of the cluster"),
    "shell": ("stoker.client.commands.shell", "an interactive Python with executors of the cluster"),
    "status": ("stoker.client.commands.status", "show the cluster, a driver or an application"),
    "logs": ("stoker.client.commands.logs", "show what a driver or executor wrote"),
    "drain": ("stoker.client.commands.drain", "have workers get nothing new, and wait until they are empty"),
    "undrain": ("stoker.client.commands.undrain", "let drained workers work again"),
    "forget": ("stoker.client.commands.forget", "take workers that are gone for good off the list"),
    "tunnel": ("stoker.via.tunnel", "reach a cluster's dashboard and master through ssh"),
    "relay": ("stoker.via.relay", "the remote half of --via and tunnel, which start it"),
    "token": ("stoker.client.commands.token", "make and end tokens for dashboards and the HTTP interfaces"),
    "keys": ("stoker.client.commands.keys", "make and show this machine's keys"),
    "config": ("stoker.config.check", "check configuration files"),
}


_LINUX_ONLY = frozenset({"master", "worker", "relay"})


class _Parser(argparse.ArgumentParser):
    """``-h`` is a host here; errors are one line."""

    def __init__(self, name: str, summary: str) -> None:
        super().__init__(prog=f"stoker {name}", description=summary, add_help=False, allow_abbrev=False)
        self.add_argument("--help", action="help", help="show this and exit")

    def error(self, message: str) -> None:  # type: ignore[override]
        print(f"stoker: {message} (see '{self.prog} --help')", file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(words, os.environ)
        _flush()
    except StokerError as error:
        print(f"stoker: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # argparse ends this way, after help and after mistakes
        if end.code is not None and not isinstance(end.code, int):
            raise
        return end.code or 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _abandon_output()
        return 1
    except Exception as error:
        if os.environ.get("STOKER_DEBUG") == "1":
            traceback.print_exc()
        name = type(error).__name__
        print(f"stoker: internal error: {name}: {error}; set STOKER_DEBUG=1 for the traceback", file=sys.stderr)
        return 1
    return code


def _flush() -> None:
    """Write what is still buffered while a failure can yet be reported. Raises BrokenPipeError and StokerError."""
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _abandon_output()
        raise StokerError(f"cannot write the output: {error.strerror}") from None


def _abandon_output() -> None:
    """Nobody takes our output: keep the interpreter from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(words: list[str], environ: Mapping[str, str]) -> int:
    if not words:
        print(_usage(), file=sys.stderr)
        return 2
    name, *rest = words
    if name in ("--help", "-h", "help"):
        print(_usage())
        return 0
    if name == "--version":
        print(f"stoker {RELEASE}")
        return 0
    if name == "--via":
        from stoker.via.command import run_via  # noqa: PLC0415 - when it is asked for, as the commands

        return run_via(rest, environ, _dispatch)
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean '{near[0]}'?" if near else "see 'stoker --help'"
        print(f"stoker: there is no command {name!r}: {hint}", file=sys.stderr)
        return 2
    module_name, summary = COMMANDS[name]
    if name in _LINUX_ONLY and not hasattr(os, "sched_getaffinity"):
        raise UsageError(f"'stoker {name}' needs Linux; on Windows, WSL (docs/platforms.md)")
    module = importlib.import_module(module_name)
    parser = _Parser(name, summary)
    module.add_arguments(parser)
    code: int = module.run(parser.parse_args(rest), environ)
    return code


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    usage = "usage: stoker [--via [USER@]HOST] COMMAND [OPTIONS]"
    return (
        f"{usage}\n\n"
        + "\n".join(lines)
        + ("\n\n--via runs a command on a cluster that is reached through ssh. 'stoker COMMAND --help' says more.")
    )
