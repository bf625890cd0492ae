"""The keeper tested alone: a real process at the other end of a real socket."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from stoker.io.loop import Loop
from stoker.worker.keeper.link import KeeperLink
from stoker.worker.keeper.messages import FromKeeper, Spawn
from stoker.worker.keeper.processes import end_survivors, start_time
from tests.support.cgroups import control_group
from tests.support.processes import alive
from tests.support.wait import wait_until

NOBODY = 65534


class Daemon:
    """Plays the worker daemon."""

    made: ClassVar[list[Daemon]] = []

    def __init__(self, slot: Path) -> None:
        self.made.append(self)
        self.slot = slot
        self.heard: list[dict[str, Any]] = []
        self.lost = False
        self.loop = Loop()
        self.link = KeeperLink(self.loop, slot, on_message=self._hear, on_lost=self._lost)

    def _hear(self, message: FromKeeper) -> None:
        self.heard.append({**message})

    def _lost(self) -> None:
        self.lost = True

    def open(self, away: float = 5.0, silence: float = 60.0, grace: float = 0.5) -> None:
        self.link.open(away=away, silence=silence, grace=grace)

    def pump(self) -> None:
        """Poll once, without waiting, and handle what is there."""
        rounds = iter((time.monotonic(), None))

        def on_round() -> float | None:
            deadline = next(rounds)
            if deadline is None:
                self.loop.stop()
            return deadline

        self.loop.run(on_round)
        self.link.flush()

    def expect(self, op: str, key: str | None = None, within: float = 30.0) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            self.pump()
            for message in self.heard:
                if message["op"] == op and key in (None, message.get("key")):
                    self.heard.remove(message)
                    return message
            return None

        return wait_until(found, within=within, what=f"{op} {key}")

    def spawn(self, key: str, *argv: str, **more: Any) -> None:
        folder = self.slot / "jobs"
        folder.mkdir(exist_ok=True)
        request = {
            "op": "spawn",
            "key": key,
            "argv": list(argv),
            "env": {"PATH": os.environ["PATH"], "MARK": str(self.slot)},
            "cwd": str(folder),
            "stdout": str(folder / f"{key}.out"),
            "stderr": str(folder / f"{key}.err"),
            "header": "header\n",
            "note": f"note of {key}",
        }
        self.link.say(cast("Spawn", {**request, **more}))

    def close(self) -> None:
        self.link.close()


def marked(slot: Path) -> list[int]:
    """Return the processes of this slot's jobs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"MARK={slot}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return [pid for pid in found if alive(pid)]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def ticks() -> int:
    """Return the present time, in the unit of start times."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def sleeping(seconds: str) -> list[int]:
    """Return the processes that sleep that long, whatever their environment is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """Runs last: the other fixtures still talk to their keepers."""
    yield
    while Daemon.made:
        daemon = Daemon.made.pop()
        daemon.link.close()
        daemon.loop.close()


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ("deep" * 30) / "slot"  # longer than a unix socket's path may be
    folder.mkdir(parents=True)
    yield folder
    wait_until(lambda: not marked(folder), what="nothing is left")


@pytest.fixture
def daemon(slot: Path) -> Iterator[Daemon]:
    found = Daemon(slot)
    found.open()
    yield found
    found.link.say({"op": "shutdown", "grace": 0.2})
    wait_until(lambda: found.pump() or found.lost, what="the keeper ends")


def test_spawn_output_and_exit_code(daemon: Daemon, slot: Path) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "echo out; echo err >&2; echo $STOKER_JOB; exit 7")
    assert daemon.expect("started", "a")["pid"] > 0
    assert daemon.expect("exited", "a")["code"] == 7
    assert (slot / "jobs/a.out").read_text() == "out\na\n"
    assert (slot / "jobs/a.err").read_text() == "header\nerr\n"


def test_signal_is_reported(daemon: Daemon) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "kill -9 $$")
    assert daemon.expect("exited", "a")["signal"] == signal.SIGKILL


def test_program_that_is_not_there(daemon: Daemon) -> None:
    daemon.spawn("a", "/no/such/program")
    failed = daemon.expect("failed", "a")
    assert failed["errno"] == 2 and "/no/such/program" in failed["reason"]


def test_jobs_survive_the_daemon_and_keep_their_exit_codes(slot: Path) -> None:
    first = Daemon(slot)
    first.open()
    first.spawn("long", "/bin/sleep", "600")
    pid = first.expect("started", "long")["pid"]
    first.spawn("short", "/bin/sh", "-c", "sleep 0.3; exit 9")
    first.expect("started", "short")
    first.close()
    time.sleep(0.5)  # the short job ends while no daemon is connected
    second = Daemon(slot)
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
    first = Daemon(slot)
    first.open(away=60.0)
    first.spawn("a", "/bin/sh", "-c", f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exit 7")
    pid = first.expect("started", "a")["pid"]
    first.close()
    (tmp_path / "go").touch()
    wait_until(lambda: not alive(pid), what="it ends while nobody is there")
    second = Daemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    assert [job["exit"] for job in second.expect("jobs")["jobs"]] == [{"code": 7}]
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_jobs_end_when_no_daemon_comes_back(slot: Path) -> None:
    daemon = Daemon(slot)
    daemon.open(away=1.0)
    daemon.spawn("a", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    pid = daemon.expect("started", "a")["pid"]
    daemon.close()
    gone = time.monotonic()
    wait_until(lambda: not alive(pid), within=5)
    assert time.monotonic() - gone < 1.5


def test_silent_daemon_counts_as_gone(slot: Path) -> None:
    daemon = Daemon(slot)
    daemon.open(away=0.6, silence=0.5)
    daemon.spawn("a", "/bin/sleep", "600")
    pid = daemon.expect("started", "a")["pid"]
    wait_until(lambda: not alive(pid), within=5, what="a hung daemon's jobs end")
    daemon.close()


def test_stop_ends_everything_of_a_job_and_nothing_else(daemon: Daemon, slot: Path) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "setsid sleep 600 & (setsid sleep 601 &); sleep 602 & wait")
    daemon.spawn("b", "/bin/sleep", "600")
    daemon.expect("started", "a")
    other = daemon.expect("started", "b")["pid"]
    wait_until(lambda: len(marked(slot)) >= 5)
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.3})
    daemon.expect("exited", "a")
    wait_until(lambda: marked(slot) == [other], what="only the other job is left")


def test_stop_ends_descendants_that_carry_no_mark(daemon: Daemon) -> None:
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


def test_an_orphan_that_several_jobs_may_have_left_is_left_alone(daemon: Daemon) -> None:
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


def test_nothing_outlives_a_job_that_ends_by_itself(daemon: Daemon) -> None:
    left = f"702.{os.getpid()}"
    daemon.spawn("a", "/bin/sh", "-c", f"env -i setsid sh -mc 'sleep {left} & sleep 0.2' & sleep 0.1")
    daemon.expect("exited", "a")
    wait_until(lambda: daemon.pump() or not sleeping(left), what="nothing is left")


def test_stop_ends_what_a_stoker_in_the_job_left(daemon: Daemon) -> None:
    left = f"704.{os.getpid()}"
    daemon.spawn("a", "/bin/sh", "-c", f"(STOKER_JOB=inner setsid sleep {left} &); sleep 600")
    daemon.expect("started", "a")
    wait_until(lambda: sleeping(left), what="it runs")
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.3})
    daemon.expect("exited", "a")
    wait_until(lambda: daemon.pump() or not sleeping(left), what="nothing is left")


def test_stop_ends_a_program_whose_first_thread_has_ended(daemon: Daemon, tmp_path: Path) -> None:
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
def test_everything_of_a_stopped_job_has_the_whole_grace(daemon: Daemon, tmp_path: Path, wrapper: str) -> None:
    """The shell exits at TERM at once; its program cleans up first. The job's end is then the shell's."""
    command, log = cleaner(tmp_path, 0.7)
    daemon.spawn("a", "/bin/sh", "-c", wrapper.format(command))
    daemon.expect("started", "a")
    wait_until(lambda: log.exists() and log.read_text() == "up\n", what="it runs")
    daemon.link.say({"op": "stop", "key": "a", "grace": 30})
    assert daemon.expect("exited", "a")["signal"] == signal.SIGTERM
    assert log.read_text() == "up\nTERM\ncleaned up\n"


def test_a_second_stop_does_not_cut_a_clean_up_short(daemon: Daemon, tmp_path: Path) -> None:
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
    daemon: Daemon, slot: Path, graces: tuple[float, float]
) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    daemon.expect("started", "a")
    wait_until(lambda: (slot / "jobs/a.out").read_text() == "up\n", what="TERM is ignored")
    for grace in graces:
        daemon.link.say({"op": "stop", "key": "a", "grace": grace})
    assert daemon.expect("exited", "a")["signal"] == signal.SIGKILL


def test_what_a_main_process_leaves_has_the_grace_and_counts_until_it_has_gone(slot: Path, tmp_path: Path) -> None:
    command, log = cleaner(tmp_path, 0.7)
    daemon = Daemon(slot)
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
    daemon = Daemon(slot)
    daemon.open(away=4.0)
    daemon.spawn("a", "/bin/sh", "-c", f"exec {command}")
    pid = daemon.expect("started", "a")["pid"]
    wait_until(lambda: log.exists() and log.read_text() == "up\n", what="it runs")
    daemon.close()
    wait_until(lambda: not alive(pid), what="it ends")
    assert log.read_text() == "up\nTERM\ncleaned up\n"


def test_what_ignores_term_is_killed_after_the_grace(daemon: Daemon, slot: Path) -> None:
    daemon.spawn("a", "/bin/sh", "-c", "sh -c \"trap '' TERM; echo up; while :; do sleep 0.05; done\"; echo after")
    daemon.expect("started", "a")
    wait_until(lambda: (slot / "jobs/a.out").read_text() == "up\n", what="TERM is ignored")
    began = time.monotonic()
    daemon.link.say({"op": "stop", "key": "a", "grace": 0.8})
    assert daemon.expect("exited", "a")["signal"] == signal.SIGTERM
    assert time.monotonic() - began >= 0.8


def test_nul_in_a_command_is_an_answer_and_not_the_keepers_end(daemon: Daemon) -> None:
    daemon.spawn("a", "/bin/echo", "x\0y")
    assert "null" in daemon.expect("failed", "a")["reason"]
    daemon.spawn("b", "/bin/true")
    assert daemon.expect("exited", "b")["code"] == 0


def test_garbage_from_a_daemon_is_dropped(daemon: Daemon) -> None:
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
from tests.integration.test_keeper import Daemon
daemon = Daemon(Path(sys.argv[1]))
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
        daemon = Daemon(disk)
        daemon.open(away=2.0)
        rolling = {"strategy": "size", "interval": 60, "max_bytes": 10000, "max_files": -1, "compress": True}
        daemon.spawn("a", "/bin/sh", "-c", "while :; do echo 0123456789; done", rolling=rolling)
        daemon.expect("started", "a")
        wait_until(lambda: os.statvfs(disk).f_bavail == 0, what="the disk is full")
        (disk / "jobs" / "b.out").unlink(missing_ok=True)
        daemon.spawn("b", "/bin/true")
        failed = daemon.expect("failed", "b")
        assert (failed["errno"], failed["stage"]) == (errno.ENOSPC, "output"), failed
        daemon.link.say({"op": "stop", "key": "a", "grace": 5})
        daemon.expect("exited", "a")
        daemon.link.say({"op": "shutdown", "grace": 0.1})
        daemon.expect("bye")
    finally:
        wait_until(lambda: subprocess.run(["umount", disk], check=False).returncode == 0, what="unmounted")


def test_killed_keepers_jobs_are_ended_by_the_next(slot: Path) -> None:
    first = Daemon(slot)
    first.open()
    unmarked = f"703.{os.getpid()}"
    first.spawn("a", "/bin/sh", "-c", f"setsid sleep 600 & env -i setsid sleep {unmarked} & sleep 601")
    pid = first.expect("started", "a")["pid"]
    wait_until(lambda: len(marked(slot)) == 3 and sleeping(unmarked))
    os.kill(parent(pid), signal.SIGKILL)
    wait_until(lambda: first.pump() or first.lost)
    second = Daemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    assert second.expect("jobs")["jobs"] == []
    assert marked(slot) == [] == sleeping(unmarked)
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_a_killed_keepers_job_is_ended_by_the_next_though_another_had_ended(slot: Path) -> None:
    first = Daemon(slot)
    first.open()
    first.spawn("a", "/bin/sleep", "600")
    first.spawn("b", "/bin/true")
    pid = first.expect("started", "a")["pid"]
    first.expect("exited", "b")
    os.kill(parent(pid), signal.SIGKILL)
    wait_until(lambda: first.pump() or first.lost)
    second = Daemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    found = second.expect("jobs")
    assert [(job["key"], job["exit"]) for job in found["jobs"]] == [("b", {"code": 0})]
    assert found["lost"] == ["a"]
    assert not alive(pid)
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_a_line_that_does_not_fit_into_the_journal_spoils_no_other(slot: Path) -> None:
    first = Daemon(slot)
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
    second = Daemon(slot)
    second.open()
    second.link.say({"op": "hello"})
    assert second.expect("jobs")["jobs"] == []
    assert not alive(pid) and marked(slot) == []
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_a_killed_keepers_successor_leaves_a_job_of_the_same_name_elsewhere(tmp_path: Path, daemon: Daemon) -> None:
    """Two clusters on one machine may use the same name; two workers do, for what they make of the same Spark."""
    daemon.spawn("a", "/bin/sleep", "600")
    elsewhere = daemon.expect("started", "a")["pid"]
    first = Daemon(tmp_path)
    first.open()
    first.spawn("a", "/bin/sleep", "600")
    pid = first.expect("started", "a")["pid"]
    os.kill(parent(pid), signal.SIGKILL)
    wait_until(lambda: first.pump() or first.lost)
    second = Daemon(tmp_path)
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


def test_keeper_without_work_goes_with_its_daemon(slot: Path) -> None:
    daemon = Daemon(slot)
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


def test_all_output_is_written_before_a_job_s_end_is_reported(daemon: Daemon) -> None:
    """Many jobs at once: while the keeper starts some, others write and exit."""
    rolling = {"strategy": "size", "interval": 60, "max_bytes": 1 << 20, "max_files": -1, "compress": False}
    keys = [f"job-{number}" for number in range(100)]
    for key in keys:
        daemon.spawn(key, "/bin/echo", key, rolling=rolling)
    for key in keys:
        daemon.expect("exited", key)
        assert (daemon.slot / "jobs" / f"{key}.out").read_text() == f"{key}\n"


def test_hundred_jobs_at_once(daemon: Daemon) -> None:
    for number in range(100):
        daemon.spawn(f"job{number}", "/bin/sh", "-c", f"exit {number}")
    for number in range(100):
        assert daemon.expect("exited", f"job{number}")["code"] == number


def test_time_limit_holds_without_a_daemon(slot: Path) -> None:
    """TERM, which this program ignores, then KILL after the grace; the next daemon learns why it ended."""
    first = Daemon(slot)
    first.open(away=60.0, grace=0.5)
    first.spawn("j", "/bin/sh", "-c", "trap 'echo TERM' TERM; while :; do sleep 0.05; done", limit=1.0)
    pid = first.expect("started", "j")["pid"]
    first.close()
    wait_until(lambda: not alive(pid), within=10.0, what="the limit stops it")
    second = Daemon(slot)
    second.open()
    second.link.say({"op": "hello", "name": "w"})
    assert [job["exit"] for job in second.expect("jobs")["jobs"]] == [{"signal": signal.SIGKILL, "expired": True}]
    assert "TERM" in (slot / "jobs" / "j.out").read_text()
    second.link.say({"op": "shutdown", "grace": 0.1})
    second.expect("bye")


def test_job_that_ends_before_its_limit_is_not_expired(daemon: Daemon) -> None:
    daemon.spawn("j", "/bin/sh", "-c", "exit 3", limit=5.0)
    exited = daemon.expect("exited", "j")
    assert exited["code"] == 3 and "expired" not in exited
