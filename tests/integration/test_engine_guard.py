"""The guard of an engine's processes, tested alone: a real process that outlives its driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stoker.engines.ray import GuardProcess
from tests.support.processes import alive
from tests.support.wait import wait_until

# What a process does that shows a title longer than its command line: its environment can be read no more.
TITLED = """
import ctypes, os, sys, time
start = ctypes.cast(ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")[0], ctypes.c_void_p)
ctypes.memset(start, 0, sum(len(os.fsencode(f"{name}={value}")) + 1 for name, value in os.environ.items()))
other = open(os.devnull)
log = open(sys.argv[1], "w")
print("titled", flush=True)
while True:  # it opens and closes files, as programs do
    other.close()
    other = open(os.devnull)
"""

# A driver with a process that was forked from it, and holds all that it had open.
FORKING = """
import os, sys, time
from pathlib import Path
from stoker.engines.ray import GuardProcess
guard = GuardProcess(sys.argv[1], Path(sys.argv[2]))
forked = os.fork()
if forked == 0:
    time.sleep(600)
print(forked, flush=True)
sys.stdin.readline()
guard.close()
print("closed", flush=True)
"""


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(started: ExitStack, *words: str, mark: str = "") -> subprocess.Popen[str]:
    env = {"PATH": os.environ["PATH"], **dict([mark.split("=")] if mark else [])}
    process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    started.enter_context(process)  # waits, and closes its pipes
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
    guard = GuardProcess(mark, folder)
    assert alive(marked.pid) and alive(titled.pid)
    guard.close()
    wait_until(lambda: not alive(marked.pid) and not alive(titled.pid), what="both are ended")
    assert alive(other.pid), "its file is elsewhere"
    assert alive(reader.pid), "its environment can be read, and has no mark"
    assert not folder.exists()


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_process_forked_from_the_driver_does_not_hold_it_up(tmp_path: Path, started: ExitStack, how: str) -> None:
    mark = f"STOKER_TEST={tmp_path.name}"
    marked = start(started, "/bin/sleep", "600", mark=mark)
    driver = start(started, sys.executable, "-c", FORKING, mark, str(tmp_path / "head"))
    assert driver.stdin is not None and driver.stdout is not None
    started.callback(os.kill, int(driver.stdout.readline()), signal.SIGKILL)
    if how == "killed":
        driver.kill()
    else:
        driver.stdin.write("close\n")
        driver.stdin.flush()
        assert driver.stdout.readline() == "closed\n"
    wait_until(lambda: not alive(marked.pid), what="it is ended")
