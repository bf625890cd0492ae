"""A stopped job: everything of it ends, nothing else does, and all of it has the grace."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from stoker.worker.keeper.processes import start_time
from tests.support.keeper import PlayedDaemon, marked, sleeping, ticks
from tests.support.processes import alive
from tests.support.wait import wait_until


def test_stop_ends_everything_of_a_job_and_nothing_else(daemon: PlayedDaemon, slot: Path) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "setsid sleep 600 & (setsid sleep 601 &); sleep 602 & wait")
    daemon.spawn("b", "/bin/sleep", "600")
    daemon.expect("started", "a")
    other = daemon.expect("started", "b")["pid"]
    wait_until(lambda: len(marked(slot)) >= 5)
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.3})
    daemon.expect("exited", "a")
    wait_until(lambda: marked(slot) == [other], what="only the other job is left")


def test_stop_ends_descendants_that_carry_no_mark(daemon: PlayedDaemon) -> None:
    """The job of a daemonised process is unknown: it is stopped with the last job that may have started it."""
    daemon.spawn("older", "/bin/sleep", "600")
    daemon.expect("started", "older")
    child, daemonised = f"700.{os.getpid()}", f"701.{os.getpid()}"
    daemon.spawn("a", "/bin/sh", "-c", f"env -i setsid sleep {child} & (env -i setsid sleep {daemonised} &); wait")
    daemon.expect("started", "a")
    wait_until(lambda: sleeping(child) and sleeping(daemonised), what="both run")
    wait_until(lambda: ticks() > start_time(sleeping(daemonised)[0]), what="another start time")
    daemon.spawn("younger", "/bin/sleep", "600")
    daemon.expect("started", "younger")
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.3})
    daemon.expect("exited", "a")
    wait_until(lambda: daemon.pump() or not sleeping(child), what="the child ends")
    assert sleeping(daemonised)
    daemon.link.say({"op": "stop", "key": "older", "grace": 0.3})
    daemon.expect("exited", "older")
    wait_until(lambda: daemon.pump() or not sleeping(daemonised), what="the daemonised one ends")


def test_an_orphan_that_several_jobs_may_have_left_is_left_alone(daemon: PlayedDaemon) -> None:
    """The orphan is stopped with the last of them."""
    daemon.spawn("older", "/bin/sleep", "600")
    daemon.expect("started", "older")
    orphan = f"704.{os.getpid()}"
    daemon.spawn("a", "/bin/sh", "-c", f"(env -i setsid sleep {orphan} &); sleep 600")
    daemon.expect("started", "a")
    wait_until(lambda: sleeping(orphan), what="it runs")
    daemon.link.say({"op": "stop", "key": "older", "grace": 0.3})
    daemon.expect("exited", "older")
    assert sleeping(orphan)
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.3})
    daemon.expect("exited", "a")
    wait_until(lambda: daemon.pump() or not sleeping(orphan), what="it ends")


def test_nothing_outlives_a_job_that_ends_by_itself(daemon: PlayedDaemon) -> None:
    left = f"702.{os.getpid()}"
    daemon.spawn("a", "/bin/sh", "-c", f"env -i setsid sh -mc 'sleep {left} & sleep 0.2' & sleep 0.1")
    daemon.expect("exited", "a")
    wait_until(lambda: daemon.pump() or not sleeping(left), what="nothing is left")


def test_stop_ends_what_a_stoker_in_the_job_left(daemon: PlayedDaemon) -> None:
    left = f"704.{os.getpid()}"
    daemon.spawn("a", "/bin/sh", "-c", f"(STOKER_JOB=inner setsid sleep {left} &); sleep 600")
    daemon.expect("started", "a")
    wait_until(lambda: sleeping(left), what="it runs")
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.3})
    daemon.expect("exited", "a")
    wait_until(lambda: daemon.pump() or not sleeping(left), what="nothing is left")


def test_stop_ends_a_program_whose_first_thread_has_ended(daemon: PlayedDaemon, tmp_path: Path) -> None:
    """The program looks like a zombie."""
    program = f"""
import ctypes, os, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
ctypes.CDLL(None).pthread_exit(0)
"""
    daemon.spawn("a", "/bin/sh", "-c", '(setsid "$0" -c "$1" &); sleep 600', sys.executable, program)
    daemon.expect("started", "a")
    pid = wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    wait_until(lambda: ") Z " in state.read_text(), what="its first thread ends")
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.3})
    daemon.expect("exited", "a")
    wait_until(lambda: daemon.pump() or not state.exists(), what="it ends")


# A program that writes to a file when it is up, when it gets TERM, and when its clean-up of ``seconds`` is done.
CLEANER = """
import signal, sys, time
log, seconds = open(sys.argv[1], "a", buffering=1), float(sys.argv[2])
def clean_up(*_):
    print("TERM", file=log)
    time.sleep(seconds)
    print("cleaned up", file=log)
    sys.exit(3)
signal.signal(signal.SIGTERM, clean_up)
print("up", file=log)
time.sleep(600)
"""


def cleaner(folder: Path, seconds: float) -> tuple[str, Path]:
    """Return a shell command that runs CLEANER, and its log."""
    script, log = folder / "cleaner.py", folder / "cleaner.log"
    script.write_text(CLEANER)
    return f"{sys.executable} {script} {log} {seconds}", log


@pytest.mark.parametrize("wrapper", ["{0}; echo after", "{0} | cat", "(setsid {0} &); sleep 600", "{0} & wait"])
def test_everything_of_a_stopped_job_has_the_whole_grace(daemon: PlayedDaemon, tmp_path: Path, wrapper: str) -> None:
    """The shell exits at TERM at once; its program cleans up first. The job's end is then the shell's."""
    command, log = cleaner(tmp_path, 0.7)
    daemon.spawn("a", "/bin/sh", "-c", wrapper.format(command))
    daemon.expect("started", "a")
    wait_until(lambda: log.exists() and log.read_text() == "up\n", what="it runs")
    daemon.link.say({"op": "stop", "key": "a", "grace": 30})
    assert daemon.expect("exited", "a")["signal"] == signal.SIGTERM
    assert log.read_text() == "up\nTERM\ncleaned up\n"


def test_a_second_stop_does_not_cut_a_clean_up_short(daemon: PlayedDaemon, tmp_path: Path) -> None:
    command, log = cleaner(tmp_path, 0.7)
    daemon.spawn("a", "/bin/sh", "-c", f"exec {command}")
    daemon.expect("started", "a")
    wait_until(lambda: log.exists() and log.read_text() == "up\n", what="it runs")
    for _ in range(2):
        daemon.link.say({"op": "stop", "key": "a", "grace": 30})
        wait_until(lambda: daemon.pump() or "TERM" in log.read_text(), what="TERM")
    assert daemon.expect("exited", "a")["code"] == 3
    assert log.read_text() == "up\nTERM\ncleaned up\n"


@pytest.mark.parametrize("graces", [(0.5, 30), (30, 0.5)])
def test_a_later_stop_shortens_the_time_and_never_prolongs_it(
    daemon: PlayedDaemon, slot: Path, graces: tuple[float, float]
) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    daemon.expect("started", "a")
    wait_until(lambda: (slot / "jobs/a.out").read_text() == "up\n", what="TERM is ignored")
    for grace in graces:
        daemon.link.say({"op": "stop", "key": "a", "grace": grace})
    assert daemon.expect("exited", "a")["signal"] == signal.SIGKILL


def test_what_a_main_process_leaves_has_the_grace_and_counts_until_it_has_gone(slot: Path, tmp_path: Path) -> None:
    command, log = cleaner(tmp_path, 0.7)
    daemon = PlayedDaemon(slot)
    daemon.open(grace=30)
    program = f"setsid {command} & while ! grep -q up {log}; do sleep 0.05; done; exit 4"
    daemon.spawn("a", "/bin/sh", "-c", program)
    daemon.expect("started", "a")
    wait_until(lambda: log.exists() and "TERM" in log.read_text(), what="what is left gets TERM")
    daemon.link.say({"op": "hello"})
    assert daemon.expect("jobs")["jobs"][0]["exit"] is None
    assert daemon.expect("exited", "a")["code"] == 4
    assert log.read_text().endswith("cleaned up\n")
    daemon.link.say({"op": "shutdown", "grace": 0.1})
    daemon.expect("bye")


def test_jobs_may_clean_up_when_no_daemon_comes_back(slot: Path, tmp_path: Path) -> None:
    """Jobs get TERM after half of the time, so that all have exited before the master declares the worker lost."""
    command, log = cleaner(tmp_path, 0.3)
    daemon = PlayedDaemon(slot)
    daemon.open(away=4.0)
    daemon.spawn("a", "/bin/sh", "-c", f"exec {command}")
    pid = daemon.expect("started", "a")["pid"]
    wait_until(lambda: log.exists() and log.read_text() == "up\n", what="it runs")
    daemon.close()
    wait_until(lambda: not alive(pid), what="it ends")
    assert log.read_text() == "up\nTERM\ncleaned up\n"


def test_what_ignores_term_is_killed_after_the_grace(daemon: PlayedDaemon, slot: Path) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "sh -c \"trap '' TERM; echo up; while :; do sleep 0.05; done\"; echo after")
    daemon.expect("started", "a")
    wait_until(lambda: (slot / "jobs/a.out").read_text() == "up\n", what="TERM is ignored")
    began = time.monotonic()
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.8})
    assert daemon.expect("exited", "a")["signal"] == signal.SIGTERM
    assert time.monotonic() - began >= 0.8


@pytest.mark.parametrize(
    "wrapper",
    ["setsid {0}", "setsid -w {0}", "timeout 600 {0}; exit 1", "sh -mc '{0}; exit 1'", "setsid -f {0}; sleep 600"],
)
def test_a_program_behind_a_wrapper_with_its_own_group_may_clean_up(
    daemon: PlayedDaemon, tmp_path: Path, wrapper: str
) -> None:
    """The wrapper's shell has the grace to itself, and TERM reaches the program, whose group is another."""
    program = tmp_path / "program"
    program.write_text(
        "#!/bin/sh\n"
        f"trap 'sleep 0.5; echo done > {tmp_path}/cleaned; exit 0' TERM\n"
        f"echo up > {tmp_path}/up\n"
        "while true; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    daemon.spawn("a", "/bin/sh", "-c", f"{wrapper.format(program)}")
    daemon.expect("started", "a")
    wait_until((tmp_path / "up").exists, what="it runs")
    daemon.link.say({"op": "stop", "key": "a", "grace": 20})
    daemon.expect("exited", "a")
    assert (tmp_path / "cleaned").exists()
