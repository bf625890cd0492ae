"""``stoker``: find the command, run it, and turn whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

from stoker.cli import streams
from stoker.cli.commands import COMMANDS, DAEMONS, runnable, usage
from stoker.errors import StokerError, UsageError, did_you_mean, one_line
from stoker.version import RELEASE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 wrong usage. Without ``argv`` the process is this command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        gc.disable()  # until the command is loaded: imports leave no garbage, and looking for it takes a tenth of the start
    had_output = streams.prepare()
    try:
        code = _dispatch(words, os.environ, had_output)
        streams.flush()
    except StokerError as error:
        return _fail(str(error), error.exit_code)
    except SystemExit as end:  # argparse ends this way after --help
        if end.code is not None and not isinstance(end.code, int):
            raise
        return _flushed(end.code or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        streams.abandon_output()
        return 1
    except Exception as error:
        return _unexpected(error)
    return code


def _dispatch(words: list[str], environ: Mapping[str, str], had_output: bool = True) -> int:
    if not words:
        print(usage(), file=sys.stderr)
        return 2
    name, *rest = words
    if name in ("--help", "-h") or words == ["help", "--help"]:
        print(usage())
        return 0
    if name == "--version":
        print(f"stoker {RELEASE}")
        return 0
    if name == "--via":
        from stoker.via.command import run_via  # noqa: PLC0415 - when it is asked for, as the commands

        return run_via(rest, environ, lambda words, environ: _dispatch(words, environ, had_output))
    if name not in COMMANDS:
        hint = did_you_mean(name, (*COMMANDS, "--help", "--version", "--via")) or "see 'stoker --help'"
        what = "option" if name.startswith("-") else "command"
        raise UsageError(f"there is no {what} {name!r}: {hint}")
    if name not in runnable():
        raise UsageError(f"'stoker {name}' needs Linux; on Windows, WSL (docs/platforms.md)")
    from stoker.cli.parser import parser_of  # noqa: PLC0415 - --help and --version do without argparse

    parser, module = parser_of(name)
    args = parser.parse_args(rest)
    if not gc.isenabled():
        gc.freeze()  # what is loaded lasts as long as the process: no later collection, the one at exit included, visits it
        gc.enable()
    if name not in DAEMONS:
        streams.check_output(had_output)
    code: int = module.run(args, environ)
    return code


def _flushed(code: int) -> int:
    try:
        streams.flush()
    except StokerError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        streams.abandon_output()
        return 1
    return code


def _unexpected(error: Exception) -> int:
    """What the system refuses is the user's to mend and named in his terms; all else is a mistake of ours."""
    if os.environ.get("STOKER_DEBUG") == "1":
        import traceback  # noqa: PLC0415 - for this only

        print("\n".join(map(one_line, traceback.format_exc().splitlines())), file=sys.stderr)
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return _fail("the current directory does not exist any more: cd to another one", 1)
    limit = next(filter(None, map(_limit_reached, _chain(error))), "")
    if limit:
        return _fail(limit, 1)
    if isinstance(error, OSError) and error.filename is None:
        try:
            streams.check_output(had_output=True)
        except StokerError as full:  # without a buffer (PYTHONUNBUFFERED) any print may be the one that fails
            return _fail(str(full), 1)
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fspath(error.filename)!r}: " if isinstance(error.filename, (str, os.PathLike)) else ""
        return _fail(f"{where}{error.strerror}", 1)
    if isinstance(error, OSError):
        return _fail(str(error), 1)
    name = type(error).__name__
    return _fail(f"internal error: {name}: {error}; set STOKER_DEBUG=1 for the traceback", 1)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, then those during whose handling it came up: a clean-up that fails hides its cause."""
    while error is not None:
        yield error
        error = error.__context__


def _limit_reached(error: BaseException) -> str:
    """Return which limit of this process an error is about, and how to raise it, or ""."""
    no_room = isinstance(error, ImportError) and ("map segment" in str(error) or "allocate memory" in str(error))
    if isinstance(error, MemoryError) or no_room or getattr(error, "errno", 0) == errno.ENOMEM:
        return "out of memory: raise SPARK_DAEMON_MEMORY, or the limit of this shell (ulimit -v)"
    if getattr(error, "errno", 0) in (errno.EMFILE, errno.ENFILE):  # ZMQError, too, which is not an OSError
        return "too many open files: raise the limit of this shell (ulimit -n)"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return (
            "no thread can be started: raise the limits of this shell (ulimit -u, ulimit -v), or of its control group"
        )
    return ""


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # the exit code still says that it failed
        print(f"stoker: {one_line(' '.join(message.splitlines()))}", file=sys.stderr, flush=True)
    return code
