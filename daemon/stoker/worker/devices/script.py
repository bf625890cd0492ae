"""Run a small program of an operator, and return what it prints, whatever it does."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

MOST_OUTPUT = 64 * 1024  # bytes


class ScriptFailed(Exception):
    """One line: why there is no output, as the end of a sentence about the program."""


def output_of(argv: Sequence[str], *, timeout: float, environ: Mapping[str, str]) -> bytes:
    """Return the standard output. Raises ScriptFailed when the program cannot be started, takes more than ``timeout``
    seconds, fails, or prints more than 64 KiB. Nothing that it started outlives the call."""
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ScriptFailed(f"cannot be run: {getattr(error, 'strerror', None) or error}") from None
    try:
        printed, said = _read(process, time.monotonic() + timeout, timeout)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        why = f": {lines[-1][:200]}" if lines else ""
        code = process.returncode
        raise ScriptFailed((f"exited with {code}" if code > 0 else f"was ended by signal {-code}") + why)
    return printed


def _read(process: subprocess.Popen[bytes], deadline: float, timeout: float) -> tuple[bytes, bytes]:
    """Return output and errors, once the program has ended."""
    assert process.stdout is not None and process.stderr is not None
    parts = {process.stdout: b"", process.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for pipe in parts:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise ScriptFailed(f"has not ended after {timeout:g} s")
            for key, _ in selector.select(left):
                pipe = process.stdout if key.fileobj is process.stdout else process.stderr
                data = os.read(pipe.fileno(), MOST_OUTPUT)
                if not data:
                    selector.unregister(pipe)
                parts[pipe] += data
                if len(parts[process.stdout]) > MOST_OUTPUT:
                    raise ScriptFailed(f"printed more than {MOST_OUTPUT} bytes")
                parts[process.stderr] = parts[process.stderr][-MOST_OUTPUT:]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise ScriptFailed(f"has not ended after {timeout:g} s") from None
    return parts[process.stdout], parts[process.stderr]
