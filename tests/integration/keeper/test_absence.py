"""A keeper without its daemon: its jobs and their exit codes outlive it, for a time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.support.keeper import PlayedDaemon
from tests.support.processes import alive
from tests.support.wait import wait_until


def test_jobs_survive_the_daemon_and_keep_their_exit_codes(slot: Path) -> None:
    first = PlayedDaemon(slot)
    first.open()
    first.spawn("long", "/bin/sleep", "600")
    pid = first.expect("started", "long")["pid"]
    first.spawn("short", "/bin/sh", "-c", "sleep 0.3; exit 9")
    first.expect("started", "short")
    first.close()
    time.sleep(0.5)  # the short job ends while no daemon is connected
    second = PlayedDaemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    jobs = {job["key"]: job for job in second.expect("jobs")["jobs"]}
    assert jobs["long"]["pid"] == pid and jobs["long"]["exit"] is None
    assert jobs["short"]["exit"] == {"code": 9} and jobs["short"]["note"] == "note of short"
    second.link.say({"op": "forget", "key": "short"})
    second.link.say({"op": "hello"})
    assert [job["key"] for job in second.expect("jobs")["jobs"]] == ["long"]
    second.link.say({"op": "shutdown", "grace": 0.2})
    assert second.expect("exited", "long")["signal"] == signal.SIGTERM
    second.expect("bye")


def test_the_only_jobs_exit_code_is_kept_for_the_next_daemon(slot: Path, tmp_path: Path) -> None:
    first = PlayedDaemon(slot)
    first.open(away=60.0)
    first.spawn("a", "/bin/sh", "-c", f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exit 7")
    pid = first.expect("started", "a")["pid"]
    first.close()
    (tmp_path / "go").touch()
    wait_until(lambda: not alive(pid), what="it ends while nobody is there")
    second = PlayedDaemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    assert [job["exit"] for job in second.expect("jobs")["jobs"]] == [{"code": 7}]
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_jobs_end_when_no_daemon_comes_back(slot: Path) -> None:
    daemon = PlayedDaemon(slot)
    daemon.open(away=1.0)
    daemon.spawn("a", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    pid = daemon.expect("started", "a")["pid"]
    daemon.close()
    gone = time.monotonic()
    wait_until(lambda: not alive(pid), within=5)
    assert time.monotonic() - gone < 1.5


def test_no_grace_lasts_longer_than_the_wait_for_a_daemon(slot: Path) -> None:
    """Its driver may be started elsewhere from then on."""
    daemon = PlayedDaemon(slot)
    daemon.open(away=1.0, grace=30.0)
    termed = slot / "termed"
    program = "trap 'touch \"$0\"' TERM; while :; do sleep 0.05; done"
    daemon.spawn("a", "/bin/sh", "-c", program, str(termed), limit=0.3)
    pid = daemon.expect("started", "a")["pid"]
    wait_until(termed.exists, within=10, what="it reaches its limit")
    daemon.close()
    wait_until(lambda: not alive(pid), within=5, what="the keeper kills it before its grace has passed")


def test_silent_daemon_counts_as_gone(slot: Path) -> None:
    daemon = PlayedDaemon(slot)
    daemon.open(away=0.6, silence=0.5)
    daemon.spawn("a", "/bin/sleep", "600")
    pid = daemon.expect("started", "a")["pid"]
    wait_until(lambda: not alive(pid), within=5, what="a hung daemon's jobs end")
    daemon.close()


def test_keeper_without_work_goes_with_its_daemon(slot: Path) -> None:
    daemon = PlayedDaemon(slot)
    daemon.open()
    daemon.spawn("a", "/bin/true")
    daemon.expect("exited", "a")
    daemon.link.say({"op": "forget", "key": "a"})
    daemon.link.say({"op": "hello"})
    daemon.expect("jobs")
    daemon.close()

    def keepers() -> list[str]:
        lines = [entry / "cmdline" for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        texts = []
        for line in lines:
            try:
                texts.append(line.read_bytes().decode())
            except OSError:
                continue
        return [text for text in texts if str(slot) in text]

    wait_until(lambda: not keepers(), what="the keeper ends")
