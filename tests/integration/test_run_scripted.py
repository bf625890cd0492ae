"""``stoker run`` against a scripted master: its output, exit codes, signals and usage."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from stoker.core.model.messages import (
    GetStatus,
    Message,
    ReadLog,
    RegisterApplication,
    Status,
    UnregisterApplication,
)
from stoker.core.model.states import ApplicationState, ExecutorState, MasterState
from stoker.core.model.values import Exit
from stoker.core.model.views import AppView, ClusterView
from tests.support.scripted_master import (
    APP_ID,
    ScriptedMaster,
    added,
    ended,
    polite,
    removed,
    running,
)
from tests.support.scripted_run import HEADER, command, stoker_run, story


def test_output_is_shown_without_the_workers_header_and_all_is_well(keys_dir: Path) -> None:
    texts = {(0, "stdout"): b"one\ntwo", (0, "stderr"): HEADER + b"warned\n"}
    script = story(added(0), running(0), ended(0, Exit(code=0)), removed(), texts=texts)
    with ScriptedMaster(keys_dir, script) as master:
        words = (
            "--name",
            "n",
            "--executor-cores",
            "2",
            "--executor-memory",
            "2g",
            "--env",
            "A=b=c",
            "--",
            "prog",
            "-x",
        )
        result = stoker_run(keys_dir, master.address, *words)
        (message,) = master.got(RegisterApplication)
    assert (result.returncode, result.stdout, result.stderr) == (0, "one\ntwo", "warned\n")
    assert isinstance(message, RegisterApplication)
    app = message.app
    assert (app.name, app.cores_per_executor, app.memory_mib, app.max_cores, app.finite) == ("n", 2, 2048, None, True)
    assert app.command.argv == ("prog", "-x")
    assert (app.command.env["A"], app.command.env["SPARK_MARK"]) == ("b=c", "forwarded")


def test_lines_of_executors_do_not_mix_and_are_labelled(keys_dir: Path) -> None:
    texts = {(0, "stdout"): b"a\nb", (1, "stdout"): b"c\nd", (1, "stderr"): b"e\r f\n"}
    script = story(
        *(added(number) for number in (0, 1)),
        *(ended(number, Exit(code=0)) for number in (0, 1)),
        removed(),
        texts=texts,
    )
    with ScriptedMaster(keys_dir, script) as master:
        result = stoker_run(keys_dir, master.address, "--label", "--", "prog")
    assert result.returncode == 0
    assert sorted(result.stdout.split("\n")) == ["0: a", "0: b", "1: c", "1: d"]
    assert result.stderr == "1: e\r f\n"


ENDS = {
    "all well": ([ended(0, Exit(code=0)), ended(1, Exit(code=0)), removed()], 0, []),
    "the highest status counts": (
        [ended(0, Exit(code=3)), ended(1, Exit(code=2)), removed(ApplicationState.FAILED, "2 failed")],
        3,
        ["executor 0 on host node: exited with code 3", "executor 1 on host node: exited with code 2"],
    ),
    "a signal": (
        [ended(0, Exit(signal=9)), ended(1, Exit(code=1)), removed(ApplicationState.FAILED)],
        137,
        ["executor 0 on host node: killed by signal 9 (SIGKILL)", "executor 1 on host node: exited with code 1"],
    ),
    "no such program": (
        [
            ended(0, Exit(code=127, reason="No such program: prog"), ExecutorState.FAILED),
            ended(1, Exit(code=0)),
            removed(ApplicationState.FAILED),
        ],
        127,
        ["executor 0 on host node: exited with code 127 (No such program: prog)"],
    ),
    "never started": (
        [
            ended(0, Exit(reason="disk full"), ExecutorState.FAILED),
            ended(1, Exit(code=0)),
            removed(ApplicationState.FAILED),
        ],
        1,
        ["executor 0 on host node: failed: disk full"],
    ),
    "killed": (
        [removed(ApplicationState.KILLED, "killed on request")],
        1,
        [f"{APP_ID} is KILLED: killed on request"],
    ),
    "failed for no reason of its executors": (
        [removed(ApplicationState.FAILED, "10 executors failed in a row")],
        1,
        [f"{APP_ID} is FAILED: 10 executors failed in a row"],
    ),
    "an exit code no process can have": (
        [ended(0, Exit(code=70_000)), ended(1, Exit(code=-5)), removed(ApplicationState.FAILED)],
        1,
        ["executor 0 on host node: exited with code 70000", "executor 1 on host node: exited with code -5"],
    ),
    "a lost one was replaced": (
        [
            ended(0, Exit(reason="worker w was lost"), ExecutorState.LOST),
            ended(1, Exit(code=0)),
            added(2),
            ended(2, Exit(code=0)),
            removed(),
        ],
        0,
        ["executor 0 on host node: lost, to be replaced (worker w was lost)"],
    ),
}


@pytest.mark.parametrize(("messages", "code", "lines"), ENDS.values(), ids=ENDS)
def test_the_worst_end_is_the_exit_code(keys_dir: Path, messages: list[Message], code: int, lines: list[str]) -> None:
    with ScriptedMaster(keys_dir, story(added(0), added(1), *messages)) as master:
        result = stoker_run(keys_dir, master.address, "prog")
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.splitlines() == [f"stoker: {line}" for line in lines]


def test_without_resources_it_says_what_it_waits_for(keys_dir: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, GetStatus):
            app = AppView(
                id=APP_ID, name="prog", user="u", state=ApplicationState.WAITING, submitted=1.0,
                cores_per_executor=3, memory_mib=1024,
            )  # fmt: skip
            cluster = ClusterView(
                url="spark://x:7077", state=MasterState.ALIVE, epoch=1, version="1", active_apps=(app,)
            )
            master.send(peer, Status(request=message.request, cluster=cluster), removed(ApplicationState.KILLED))
        else:
            polite(master, peer, message)

    with ScriptedMaster(keys_dir, script) as master:
        result = stoker_run(keys_dir, master.address, "--executor-cores", "3", "prog")
    assert result.returncode == 1
    first = result.stderr.splitlines()[0]
    assert "waits for resources: the cluster has no live worker" in first


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["INT", "TERM", "HUP"]
)
def test_a_signal_unregisters_as_killed(keys_dir: Path, number: int, code: int) -> None:
    with ScriptedMaster(keys_dir, story(added(0), running(0))) as master:
        argv, env = command(keys_dir, master.address, "prog")
        process = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)
        try:
            master.wait_for(lambda: bool(master.got(ReadLog)))
            process.send_signal(number)
            _, stderr = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        (message,) = master.got(UnregisterApplication)
    assert isinstance(message, UnregisterApplication)
    assert (process.returncode, message.state) == (code, ApplicationState.KILLED)
    assert stderr == f"stoker: interrupted: {APP_ID} is unregistered, its executors are stopped\n"


def test_its_reader_gone_it_unregisters(keys_dir: Path) -> None:
    with ScriptedMaster(keys_dir, story(added(0), running(0), texts={(0, "stdout"): b"line\n" * 100_000})) as master:
        argv, env = command(keys_dir, master.address, "prog")
        process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.wait(20) == 1
            assert process.stderr.read() == b""
        finally:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        assert len(master.got(UnregisterApplication)) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "nothing to run"),
        (("--",), "nothing to run"),
        (("--executor-cores", "0", "x"), "--executor-cores must be a whole number"),
        (("--total-executor-cores", "many", "x"), "--total-executor-cores must be a whole number"),
        (("--total-executor-cores", "9" * 5000, "x"), ""),
        (("--executor-memory", "lots", "x"), "not an amount of memory"),
        (("--env", "A", "x"), "--env A: 'A' is not set here"),
        (("--timeout", "0", "x"), "--timeout"),
        (("--timeout", "nan", "x"), "--timeout"),
        (("--nonsense", "x"), "--nonsense"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(keys_dir: Path, words: tuple[str, ...], text: str) -> None:
    result = stoker_run(keys_dir, "127.0.0.1:1", *words)
    assert result.returncode == 2
    assert text in result.stderr
    assert len(result.stderr.splitlines()) == 1
