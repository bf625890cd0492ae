"""``stoker run`` on a real master and real workers: its results, and the processes left after a kill."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import ME
from tests.support.wait import wait_until

STOKER = [sys.executable, "-m", "stoker"]


class Daemons:
    """A master and two workers of 4 cores each, with a home of their own. Every process they start carries the home in
    its environment, so that none can be left unseen."""

    def __init__(self, home: Path, recovery: str) -> None:
        self.home = home
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "STOKER_", "MASTER"))
        }
        self.env |= {
            "HOME": str(home),
            "SPARK_CONF_DIR": str(home / "conf"),
            "STOKER_KEYS_DIR": str(home / "keys"),
            "STOKER_STATE_DIR": str(home / "state"),
            "SPARK_MASTER_OPTS": f"-Dspark.deploy.recoveryMode={recovery} -Dspark.deploy.recoveryDirectory={home / 'rec'}",
        }
        (home / "conf").mkdir(parents=True)
        self.port = 0
        self.started: list[subprocess.Popen[bytes]] = []
        self.master = self.start_master()
        self.workers = [self.start_worker(number) for number in range(2)]
        wait_until(lambda: self.log("master").count("registered worker-") == 2, what="both workers registered")

    @property
    def url(self) -> str:
        return f"spark://127.0.0.1:{self.port}"

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text()

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([*STOKER, *words], env=self.env, stdout=log, stderr=log, start_new_session=True)
        self.started.append(process)
        return process

    def start_master(self) -> subprocess.Popen[bytes]:
        process = self.start("master", "master", "-h", "127.0.0.1", "-p", str(self.port), "--webui-port", "0")
        wait_until(lambda: "spark://" in self.log("master"), what="the master prints its URL")
        found = re.search(r"spark://127\.0\.0\.1:(\d+)", self.log("master"))
        assert found is not None
        assert self.port in (0, int(found[1]))
        self.port = int(found[1])
        return process

    def start_worker(self, number: int) -> subprocess.Popen[bytes]:
        options = (
            "-c",
            "4",
            "-m",
            "4g",
            "-h",
            "127.0.0.1",
            "--webui-port",
            "0",
            "-d",
            str(self.home / f"work{number}"),
        )
        return self.start(f"worker{number}", "worker", *options, self.url)

    def kill_master(self) -> None:
        self.master.kill()
        self.master.wait()

    def run(self, *words: str) -> subprocess.Popen[str]:
        argv = [*STOKER, "run", "--master", self.url, *words]
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, env=self.env, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
        self.started.append(process)  # type: ignore[arg-type]
        return process

    def finish(self, *words: str) -> tuple[int, str, str]:
        return self.end_of(self.run(*words))

    def end_of(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"it does not end: {process.communicate()}; master: {self.log('master')}") from None
        assert "Traceback" not in err
        return process.returncode, out, err

    def running(self, marker: str) -> list[int]:
        """Return the executors' processes whose command line has this word."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    ours = str(self.home).encode() in (folder / "environ").read_bytes()
                except OSError:
                    continue
                if ours and marker.encode() in words and b"stoker" not in words:
                    found.append(int(folder.name))
        return found

    def left(self) -> list[str]:
        """Return every process of this home."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and str(self.home).encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        wait_until(lambda: not self.left(), what=lambda: f"nothing is left of {self.left()}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """For tests that leave the cluster as it was."""
    daemons = Daemons(tmp_path_factory.mktemp("home"), "NONE")
    yield daemons
    daemons.stop()


@pytest.fixture(params=["NONE", "FILESYSTEM"])
def fragile(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemons]:
    """For tests that kill its daemons."""
    daemons = Daemons(tmp_path, request.param)
    yield daemons
    daemons.stop()


pytestmark = pytest.mark.cluster


def test_every_executor_runs_the_command_in_a_directory_of_its_own(cluster: Daemons) -> None:
    script = 'echo "{{EXECUTOR_ID}} {{CORES}} {{HOSTNAME}} {{APP_ID}} $GREETING $(pwd)"; echo oops >&2'
    options = ("--total-executor-cores", "4", "--executor-cores", "2", "--executor-memory", "512m")
    code, out, err = cluster.finish(*options, "--env", "GREETING=hi{{EXECUTOR_ID}}", "--", "sh", "-c", script)
    lines = sorted(line.split() for line in out.splitlines())
    assert (code, err) == (0, "oops\noops\n")
    assert [line[:3] + line[4:5] for line in lines] == [["0", "2", "127.0.0.1", "hi0"], ["1", "2", "127.0.0.1", "hi1"]]
    for number, _, _, app_id, _, folder in lines:
        assert folder.endswith(f"/{app_id}/{number}") and folder.startswith(str(cluster.home))


def test_the_worst_exit_code_is_ours(cluster: Daemons) -> None:
    options = ("--label", "--total-executor-cores", "3", "--executor-cores", "1")
    code, out, err = cluster.finish(*options, "--", "sh", "-c", "echo x; exit {{EXECUTOR_ID}}")
    assert code == 2
    assert sorted(out.splitlines()) == ["0: x", "1: x", "2: x"]
    assert err.splitlines() == [
        "stoker: executor 1 on host 127.0.0.1: exited with code 1",
        "stoker: executor 2 on host 127.0.0.1: exited with code 2",
    ]


def test_a_signal_and_a_missing_program(cluster: Daemons) -> None:
    code, _, err = cluster.finish("--total-executor-cores", "1", "--", "sh", "-c", "kill -9 $$")
    assert code == 137
    assert "killed by signal 9 (SIGKILL)" in err
    code, _, err = cluster.finish("--total-executor-cores", "1", "--", "no-such-program")
    assert code == 127
    assert "no-such-program" in err and len(err.splitlines()) == 1


def test_more_work_than_cores_follows_as_cores_come_free(cluster: Daemons) -> None:
    options = ("--total-executor-cores", "20", "--executor-cores", "1")
    code, out, _ = cluster.finish(*options, "--", "sh", "-c", "echo {{EXECUTOR_ID}}")
    assert code == 0
    assert sorted(map(int, out.split())) == list(range(20))


def test_two_at_once_share_the_cluster(cluster: Daemons) -> None:
    both = [cluster.run("--total-executor-cores", "4", "--", "sh", "-c", "echo $0", word) for word in ("a", "b")]
    ends = [cluster.end_of(process) for process in both]
    assert [(code, set(out.split())) for code, out, _ in ends] == [(0, {"a"}), (0, {"b"})]


def test_output_comes_while_it_runs(cluster: Daemons) -> None:
    process = cluster.run("--total-executor-cores", "1", "--", "sh", "-c", "echo early; sleep 1001")
    assert process.stdout is not None
    assert process.stdout.readline() == "early\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    wait_until(lambda: not cluster.running("1001"))


def test_without_room_it_waits_and_says_why(cluster: Daemons) -> None:
    process = cluster.run("--executor-memory", "100g", "--", "true")
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "waits for resources: needs 1 core and 102400 MiB on one worker, and no worker is that large" in line
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143


def test_killed_by_its_id(cluster: Daemons) -> None:
    process = cluster.run("--total-executor-cores", "1", "--", "sh", "-c", "echo {{APP_ID}}; exec sleep 1002")
    assert process.stdout is not None
    app_id = process.stdout.readline().strip()
    subprocess.run([*STOKER, "kill", "--master", cluster.url, app_id], env=cluster.env, check=True, timeout=30)
    code, _, err = cluster.end_of(process)
    assert (code, err) == (1, f"stoker: {app_id} is KILLED: killed by {ME} from the command line\n")
    wait_until(lambda: not cluster.running("1002"))


def test_when_it_is_killed_its_executors_are_gone_at_once(cluster: Daemons) -> None:
    process = cluster.run("--total-executor-cores", "4", "--executor-cores", "1", "--", "sleep", "1003")
    wait_until(lambda: len(cluster.running("1003")) == 4)
    process.kill()
    start = time.monotonic()
    wait_until(lambda: not cluster.running("1003"))
    assert (
        time.monotonic() - start < 3.0
    )  # milliseconds here; not a heartbeat's timeout, whatever else this machine does
    process.communicate()


def test_a_master_crash_loses_and_repeats_nothing(fragile: Daemons) -> None:
    """One executor ends before the crash, one while there is no master, one after it."""
    folder = fragile.home / "gates"
    folder.mkdir()
    script = 'echo start; until [ -e "$0/{{EXECUTOR_ID}}" ]; do sleep 0.05; done; echo end; exit {{EXECUTOR_ID}}'
    options = ("--label", "--total-executor-cores", "3", "--executor-cores", "1")
    process = fragile.run(*options, "--", "sh", "-c", script, str(folder))
    assert process.stdout is not None and process.stderr is not None
    lines = [process.stdout.readline() for _ in range(3)]
    (folder / "0").touch()
    lines.append(process.stdout.readline())
    fragile.kill_master()
    assert "lost the master" in process.stderr.readline()
    (folder / "1").touch()
    wait_until(lambda: len(fragile.running(str(folder))) == 1, what="the second one ends without a master")
    fragile.master = fragile.start_master()
    assert "registered again" in process.stderr.readline()
    (folder / "2").touch()
    code, out, err = fragile.end_of(process)
    said = sorted([*lines, *out.splitlines(keepends=True)])
    assert said == sorted(f"{number}: {word}\n" for number in range(3) for word in ("start", "end"))
    assert code == 2
    assert [line.rpartition(": ")[2] for line in err.splitlines()] == ["exited with code 1", "exited with code 2"]


def test_executors_of_a_lost_worker_run_again(fragile: Daemons) -> None:
    """The daemon and its keeper die together, as with the machine."""
    gate = fragile.home / "gate"
    script = 'echo start; until [ -e "$0" ]; do sleep 0.05; done; echo end'
    options = ("--label", "--total-executor-cores", "4", "--executor-cores", "2")
    process = fragile.run(*options, "--", "sh", "-c", script, str(gate))
    assert process.stdout is not None and process.stderr is not None
    assert sorted(process.stdout.readline() for _ in range(2)) == ["0: start\n", "1: start\n"]
    kill_machine(fragile, 0)
    assert ": lost, to be replaced" in process.stderr.readline()
    assert process.stdout.readline() == "2: start\n"
    gate.touch()
    code, out, _ = fragile.end_of(process)
    assert code == 0
    assert len([line for line in out.splitlines() if line.endswith(": end")]) == 2


def kill_machine(daemons: Daemons, number: int) -> None:
    """Everything that has this worker's directory in its command line, environment or working directory."""
    marker = str(daemons.home / f"work{number}")
    daemons.workers[number].kill()
    daemons.workers[number].wait()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            named = marker.encode() in (folder / "cmdline").read_bytes()
            if named or str((folder / "cwd").readlink()).startswith(marker):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            continue
