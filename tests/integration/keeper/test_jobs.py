"""A keeper's jobs: started, their output, their ends, limits of time, memory and disk."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.cgroups import control_group
from tests.support.keeper import PlayedDaemon
from tests.support.processes import alive
from tests.support.wait import wait_until


def test_spawn_output_and_exit_code(daemon: PlayedDaemon, slot: Path) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "echo out; echo err >&2; echo $STOKER_JOB; exit 7")
    assert daemon.expect("started", "a")["pid"] > 0
    assert daemon.expect("exited", "a")["code"] == 7
    assert (slot / "jobs/a.out").read_text() == "out\na\n"
    assert (slot / "jobs/a.err").read_text() == "header\nerr\n"


def test_signal_is_reported(daemon: PlayedDaemon) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "kill -9 $$")
    assert daemon.expect("exited", "a")["signal"] == signal.SIGKILL


def test_program_that_is_not_there(daemon: PlayedDaemon) -> None:
    daemon.spawn("a", "/no/such/program")
    failed = daemon.expect("failed", "a")
    assert failed["errno"] == 2 and "/no/such/program" in failed["reason"]


def test_nul_in_a_command_is_an_answer_and_not_the_keepers_end(daemon: PlayedDaemon) -> None:
    daemon.spawn("a", "/bin/echo", "x\0y")
    assert "null" in daemon.expect("failed", "a")["reason"]
    daemon.spawn("b", "/bin/true")
    assert daemon.expect("exited", "b")["code"] == 0


def test_garbage_from_a_daemon_is_dropped(daemon: PlayedDaemon) -> None:
    for line in (b"{", b"[]", b'{"op": 7}', b'{"op": "stop", "key": "a"}', b'{"op": "of a later release"}'):
        daemon.link._outbox += line + b"\n"
    daemon.link._outbox += b'{"op": "spawn", "key": "a", "argv": ["/bin/true"]}\n'
    assert "lacks cwd" in daemon.expect("failed", "a")["reason"]
    daemon.spawn("b", "/bin/true", kind="class-data")
    exited = daemon.expect("exited", "b")
    assert (exited["code"], exited["kind"]) == (0, "class-data")


HOG = """
import json, sys
from pathlib import Path
from tests.support.keeper import PlayedDaemon
daemon = PlayedDaemon(Path(sys.argv[1]))
daemon.open()
for key, words in {"own": sys.argv[2:], "shell": ["/bin/sh", "-c", '"$@"; exit $?', "sh", *sys.argv[2:]]}.items():
    daemon.spawn(key, *words)
    daemon.expect("started", key)
    print(json.dumps(daemon.expect("exited", key)))
daemon.spawn("killed", "/bin/sh", "-c", "kill -9 $$")
print(json.dumps(daemon.expect("exited", "killed")))
daemon.link.say({"op": "shutdown", "grace": 0.1})
daemon.expect("bye")
"""


def test_an_end_for_lack_of_memory_is_named(tmp_path: Path) -> None:
    limits = {"memory.limit_in_bytes": "150M"}, {"memory.max": "150M", "memory.swap.max": "0"}
    with control_group("memory", *limits) as inside:
        hog = [sys.executable, "-c", "x = b'x' * (400 << 20)"]
        words = [*inside, sys.executable, "-c", HOG, str(tmp_path), *hog]
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    own, shell, killed = (json.loads(line) for line in done.stdout.splitlines())
    assert (own["signal"], own["oom"]) == (signal.SIGKILL, True)
    assert (shell["code"], shell["oom"]) == (128 + signal.SIGKILL, True)
    assert killed["signal"] == signal.SIGKILL and "oom" not in killed


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a file system of its own")
def test_a_full_disk_does_not_end_the_keeper(tmp_path: Path) -> None:
    """The full disk has the keeper's journal, and the output of its jobs."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        daemon = PlayedDaemon(disk)
        daemon.open(away=2.0)
        rolling = {"strategy": "size", "interval": 60, "max_bytes": 10000, "max_files": -1, "compress": True}
        daemon.spawn("a", "/bin/sh", "-c", "while :; do echo 0123456789; done", rolling=rolling)
        daemon.expect("started", "a")
        wait_until(lambda: os.statvfs(disk).f_bavail == 0, what="the disk is full")
        numbers = count()

        def refused() -> dict[str, Any] | None:
            """Compressing a file leaves room for a moment, in which a job may start."""
            key = f"b{next(numbers)}"
            daemon.spawn(key, "/bin/true")
            answer = daemon.expect_one_of(("failed", "started"), key)
            return answer if answer["op"] == "failed" else None

        failed = wait_until(refused, what="no room for output")
        assert (failed["errno"], failed["stage"]) == (errno.ENOSPC, "output"), failed
        daemon.link.say({"op": "stop", "key": "a", "grace": 5})
        daemon.expect("exited", "a")
        daemon.link.say({"op": "shutdown", "grace": 0.1})
        daemon.expect("bye")
    finally:
        wait_until(lambda: subprocess.run(["umount", disk], check=False).returncode == 0, what="unmounted")


def test_all_output_is_written_before_a_job_s_end_is_reported(daemon: PlayedDaemon) -> None:
    """Many jobs at once: while the keeper starts some, others write and exit."""
    rolling = {"strategy": "size", "interval": 60, "max_bytes": 1 << 20, "max_files": -1, "compress": False}
    keys = [f"job-{number}" for number in range(100)]
    for key in keys:
        daemon.spawn(key, "/bin/echo", key, rolling=rolling)
    for key in keys:
        daemon.expect("exited", key)
        assert (daemon.slot / "jobs" / f"{key}.out").read_text() == f"{key}\n"


def test_hundred_jobs_at_once(daemon: PlayedDaemon) -> None:
    for number in range(100):
        daemon.spawn(f"job{number}", "/bin/sh", "-c", f"exit {number}")
    for number in range(100):
        assert daemon.expect("exited", f"job{number}")["code"] == number


def test_time_limit_holds_without_a_daemon(slot: Path) -> None:
    """TERM, which this program ignores, then KILL after the grace; the next daemon learns why it ended."""
    first = PlayedDaemon(slot)
    first.open(away=60.0, grace=0.5)
    first.spawn("j", "/bin/sh", "-c", "trap 'echo TERM' TERM; while :; do sleep 0.05; done", limit=1.0)
    pid = first.expect("started", "j")["pid"]
    first.close()
    wait_until(lambda: not alive(pid), within=10.0, what="the limit stops it")
    second = PlayedDaemon(slot)
    second.open()
    second.link.say({"op": "hello", "name": "w"})
    assert [job["exit"] for job in second.expect("jobs")["jobs"]] == [{"signal": signal.SIGKILL, "expired": True}]
    assert "TERM" in (slot / "jobs" / "j.out").read_text()
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_job_that_ends_before_its_limit_is_not_expired(daemon: PlayedDaemon) -> None:
    daemon.spawn("j", "/bin/sh", "-c", "exit 3", limit=5.0)
    exited = daemon.expect("exited", "j")
    assert exited["code"] == 3 and "expired" not in exited
