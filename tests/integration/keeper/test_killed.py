"""A killed keeper: its successor ends the jobs that it left, by the journal."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from stoker.worker.keeper.processes import end_survivors, start_time
from tests.support.keeper import PlayedDaemon, marked, parent, sleeping
from tests.support.processes import alive
from tests.support.wait import wait_until

NOBODY = 65534


def test_killed_keepers_jobs_are_ended_by_the_next(slot: Path) -> None:
    first = PlayedDaemon(slot)
    first.open()
    unmarked = f"703.{os.getpid()}"
    first.spawn("a", "/bin/sh", "-c", f"setsid sleep 600 & env -i setsid sleep {unmarked} & sleep 601")
    pid = first.expect("started", "a")["pid"]
    wait_until(lambda: len(marked(slot)) == 3 and sleeping(unmarked))
    os.kill(parent(pid), signal.SIGKILL)
    wait_until(lambda: first.pump() or first.lost)
    second = PlayedDaemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    assert second.expect("jobs")["jobs"] == []
    assert marked(slot) == [] == sleeping(unmarked)
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_a_killed_keepers_job_is_ended_by_the_next_though_another_had_ended(slot: Path) -> None:
    first = PlayedDaemon(slot)
    first.open()
    first.spawn("a", "/bin/sleep", "600")
    first.spawn("b", "/bin/true")
    pid = first.expect("started", "a")["pid"]
    first.expect("exited", "b")
    os.kill(parent(pid), signal.SIGKILL)
    wait_until(lambda: first.pump() or first.lost)
    second = PlayedDaemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    found = second.expect("jobs")
    assert [(job["key"], job["exit"]) for job in found["jobs"]] == [("b", {"code": 0})]
    assert found["lost"] == ["a"]
    assert not alive(pid)
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_a_line_that_does_not_fit_into_the_journal_spoils_no_other(slot: Path) -> None:
    first = PlayedDaemon(slot)
    first.open()
    first.spawn("a", "/bin/sleep", "600")
    keeper = parent(first.expect("started", "a")["pid"])
    limits = resource.prlimit(keeper, resource.RLIMIT_FSIZE)
    resource.prlimit(keeper, resource.RLIMIT_FSIZE, ((slot / "journal").stat().st_size + 5, limits[1]))
    first.spawn("b", "/bin/sleep", "600")
    assert first.expect("failed", "b")["stage"] == "output"
    resource.prlimit(keeper, resource.RLIMIT_FSIZE, limits)
    first.spawn("c", "/bin/sleep", "600")
    pid = first.expect("started", "c")["pid"]
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: first.pump() or first.lost)
    second = PlayedDaemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    assert second.expect("jobs")["jobs"] == []
    assert not alive(pid) and marked(slot) == []
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_a_killed_keepers_successor_leaves_a_job_of_the_same_name_elsewhere(
    tmp_path: Path, daemon: PlayedDaemon
) -> None:
    """Two clusters on one machine may use the same name; two workers do, for what they make of the same Spark."""
    daemon.spawn("a", "/bin/sleep", "600")
    elsewhere = daemon.expect("started", "a")["pid"]
    first = PlayedDaemon(tmp_path)
    first.open()
    first.spawn("a", "/bin/sleep", "600")
    pid = first.expect("started", "a")["pid"]
    os.kill(parent(pid), signal.SIGKILL)
    wait_until(lambda: first.pump() or first.lost)
    second = PlayedDaemon(tmp_path)
    second.open()
    second.link.say({"op": "hello"})
    assert second.expect("jobs")["jobs"] == []
    assert not alive(pid) and alive(elsewhere)
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a process of another user")
def test_what_became_another_users_does_not_hold_up_the_next_keeper(tmp_path: Path) -> None:
    """Like a program that a job ran with sudo."""
    with subprocess.Popen(["/bin/sleep", "600"]) as became, (tmp_path / "journal").open("w+") as journal:
        journal.write(f"+ a {became.pid} {start_time(became.pid)}\n")
        journal.flush()
        keeper = os.fork()
        if keeper == 0:
            os.chown(tmp_path, NOBODY, NOBODY)
            os.chdir(tmp_path)
            os.setuid(NOBODY)
            end_survivors("journal", 0.1)
            os._exit(0)
        try:
            wait_until(lambda: os.waitpid(keeper, os.WNOHANG)[0], what="the next keeper starts")
            assert became.poll() is None
        finally:
            became.kill()
