"""Run a small program of an operator (it finds GPUs, or checks the host), whatever it does."""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MOST_OUTPUT = 64 * 1024  # bytes
MARK = "STOKER_SCRIPT"  # in the environment of all that one run of an operator's program starts
_ROUNDS = 20  # in which processes are looked for that start others meanwhile
_LOOK_EVERY = 0.05  # seconds; a program's own end is not seen while what it started holds its output open


class ScriptFailed(Exception):
    """One line: why there is no output, as the end of a sentence about the program."""


class Ran(NamedTuple):
    code: int | None  # as of Popen; None: it was killed
    printed: bytes  # the first part of its standard output
    said: bytes  # and of its standard error
    is_flood: bool  # whether it was killed because it printed too much


def run(
    argv: Sequence[str],
    *,
    within: float,
    environ: Mapping[str, str],
    stops_floods: bool = False,
    running: Callable[[subprocess.Popen[bytes] | None], None] = lambda _: None,
) -> Ran:
    """Run a program for ``within`` seconds at most. Nothing that it started outlives the call. Of each output the first
    64 KiB are returned; with ``stops_floods`` a program that prints more is killed. ``running`` gets the process, and None
    after its end. Raises ScriptFailed when it cannot be started, or when a program given by its path is writable by
    others: they would be the worker's user. A program given by its path is an operator's, and may do anything; one that
    is given by its name is the system's."""
    is_operators = "/" in argv[0]
    if is_operators and (changeable := _changeable(Path(argv[0]))):
        raise ScriptFailed(f"is not run, because other users can change it: chmod o-w {changeable}")
    mark = secrets.token_hex(8)
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environ, MARK: mark} if is_operators else dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ScriptFailed(f"cannot be run: {getattr(error, 'strerror', None) or error}") from None
    running(process)
    try:
        return _read(process, time.monotonic() + within, stops_floods)
    finally:
        kill_group(process)
        process.wait()
        if is_operators:
            _kill_marked(f"{MARK}={mark}".encode())
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        running(None)


def output_of(argv: Sequence[str], *, timeout: float, environ: Mapping[str, str]) -> bytes:
    """Return the standard output of a program. Raises ScriptFailed when it cannot be started, takes more than ``timeout``
    seconds, fails, or prints more than 64 KiB."""
    ran = run(argv, within=timeout, environ=environ, stops_floods=True)
    if ran.is_flood:
        raise ScriptFailed(f"printed more than {MOST_OUTPUT} bytes")
    if ran.code is None:
        raise ScriptFailed(f"has not ended after {timeout:g} s")
    if ran.code:
        lines = printable_lines(ran.said)
        why = f": {lines[-1]}" if lines else ""
        code = ran.code
        raise ScriptFailed((f"exited with {code}" if code > 0 else f"was ended by signal {-code}") + why)
    return ran.printed


def printable_lines(output: bytes) -> list[str]:
    """Return the lines that are not blank, each cut at 200 characters, with ``?`` for what cannot be printed."""
    lines = (line.strip()[:200] for line in output.decode(errors="replace").splitlines())
    lines = ("".join(one if one.isprintable() else "?" for one in line).strip() for line in lines)
    return [line for line in lines if line]


def _changeable(program: Path) -> Path | None:
    """Return the program if every user may write to it, or its folder if every user may put another file in its place."""
    try:
        if program.stat().st_mode & stat.S_IWOTH:
            return program
        folder = program.parent.stat().st_mode
    except OSError:
        return None  # its start says what is wrong
    return program.parent if folder & stat.S_IWOTH and not folder & stat.S_ISVTX else None


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _kill_marked(mark: bytes) -> None:
    """Kill what has left the program's group (``setsid``)."""
    for _ in range(_ROUNDS):
        marked = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if mark in _environment(pid)]  # noqa: PTH208
        if not marked:
            return
        for pid in marked:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)


def _environment(pid: str) -> list[bytes]:
    try:
        return Path("/proc", pid, "environ").read_bytes().split(b"\0")
    except OSError:  # it has exited, or is another user's
        return []


def _read(process: subprocess.Popen[bytes], end: float, stops_floods: bool) -> Ran:
    assert process.stdout is not None and process.stderr is not None
    kept = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    printed, said = kept
    is_flood = False
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            os.set_blocking(pipe, False)
            selector.register(pipe, selectors.EVENT_READ)
        code = None
        while code is None and not is_flood and (left := end - time.monotonic()) > 0:
            if not selector.get_map():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(left)
            code = process.poll()  # what it printed before its end is there to be read now
            for key, _ in selector.select(0 if code is not None else min(_LOOK_EVERY, left)):
                data = os.read(key.fd, MOST_OUTPUT)
                if not data:
                    selector.unregister(key.fd)
                is_flood = is_flood or (stops_floods and len(kept[printed]) + len(data) > MOST_OUTPUT)
                kept[key.fd] = (kept[key.fd] + data)[:MOST_OUTPUT]
    return Ran(None if is_flood else code, kept[printed], kept[said], is_flood)
