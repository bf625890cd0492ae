"""The guard of an engine's processes, by itself: a real process that outlives its driver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stoker.engines.ray import GUARD
from tests.support.processes import alive
from tests.support.wait import wait_until

# What a process does that shows a title longer than its command line: its environment can be read no more.
TITLED = """
import ctypes, os, sys, time
start = ctypes.cast(ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")[0], ctypes.c_void_p)
ctypes.memset(start, 0, sum(len(os.fsencode(f"{name}={value}")) + 1 for name, value in os.environ.items()))
log = open(sys.argv[1], "w")
print("titled", flush=True)
time.sleep(600)
"""


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(started: ExitStack, *words: str, mark: str = "") -> subprocess.Popen[str]:
    env = {"PATH": os.environ["PATH"], **dict([mark.split("=")] if mark else [])}
    process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    started.callback(process.wait)
    started.callback(process.kill)
    return process


def test_it_ends_the_marked_and_the_titled_and_nobody_else(tmp_path: Path, started: ExitStack) -> None:
    folder = tmp_path / "head"
    folder.mkdir()
    mark = f"STOKER_TEST={tmp_path.name}"
    marked = start(started, "/bin/sh", "-c", "trap '' TERM; echo; read never", mark=mark)
    titled, other = (
        start(started, sys.executable, "-c", TITLED, str(log)) for log in (folder / "log", tmp_path / "log")
    )
    reader = start(started, "/bin/sh", "-c", 'exec 3>"$1"; echo; read never', "sh", str(folder / "read"))
    for process in (marked, titled, other, reader):
        assert process.stdout is not None
        process.stdout.readline()
    assert mark.encode() not in Path(f"/proc/{titled.pid}/environ").read_bytes()
    guard = start(started, sys.executable, "-I", "-S", str(GUARD), mark, str(folder))
    assert alive(marked.pid) and alive(titled.pid)
    guard.communicate(timeout=20)
    wait_until(lambda: not alive(marked.pid) and not alive(titled.pid), what="both are ended")
    assert alive(other.pid), "its file is elsewhere"
    assert alive(reader.pid), "its environment can be read, and has no mark"
    assert not folder.exists()
