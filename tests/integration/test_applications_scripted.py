"""The application side against a scripted master: polite, slow, dying, confused, hostile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from stoker.client.application.app import Application
from stoker.core.application.events import Disconnected, ExecutorGranted, Registered, Stopped
from stoker.core.model.messages import (
    Accepted,
    Failed,
    GetStatus,
    LogData,
    Message,
    ReadLog,
    RegisterApplication,
    RequestExecutors,
    Status,
    UnregisterApplication,
)
from stoker.core.model.states import ApplicationState, ExecutorState, MasterState, Role
from stoker.core.model.values import ApplicationDescription, Command, Exit
from stoker.core.model.views import AppView, ClusterView
from stoker.errors import NotAuthorized, Refused, Unreachable
from stoker.security.keys import Keys
from tests.support.scripted_master import (
    APP_ID,
    Script,
    ScriptedMaster,
    added,
    answer_log,
    ended,
    polite,
    registered,
    removed,
    running,
)
from tests.support.wait import wait_until

WHAT = ApplicationDescription(name="test", command=Command(argv=("true",)))
HEADER = b'Spark Executor Command: "true"\n' + b"=" * 40 + b"\n\n"


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def command(keys_dir: Path, master: str, *words: str) -> tuple[list[str], dict[str, str]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "STOKER_", "MASTER"))}
    env |= {"STOKER_KEYS_DIR": str(keys_dir), "SPARK_CONF_DIR": str(keys_dir.parent), "SPARK_MARK": "forwarded"}
    return [sys.executable, "-m", "stoker", "run", "--master", f"spark://{master}", *words], env


def stoker_run(keys_dir: Path, master: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv, env = command(keys_dir, master, *words)
    done = subprocess.run(argv, env=env, capture_output=True, timeout=30, check=False)
    result = subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
    return result


def story(*messages: Message, texts: dict[tuple[int, str], bytes] | None = None) -> Script:
    return partial(polite, story=messages, texts=texts)


# --- stoker run: the exit code and what is shown ---------------------------------------------------------------------


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


OTHER = "app-20260101000000-0666"

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


# --- masters that do not help ----------------------------------------------------------------------------------------


def one_line(result: subprocess.CompletedProcess[str], *texts: str, code: int = 1) -> None:
    assert result.returncode == code
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("stoker: ")
    for text in texts:
        assert text in last


def test_no_master_there(keys_dir: Path) -> None:
    Keys.open(keys_dir, create=(Role.MASTER, Role.CLIENT))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: no other program gets the port
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = stoker_run(keys_dir, address, "--timeout", "0.5", "prog")
    one_line(result, "All masters are unresponsive! Giving up.", address, "is a master running there?")


def test_no_keys_here(keys_dir: Path) -> None:
    one_line(stoker_run(keys_dir, "127.0.0.1:1", "prog"), "no key", "STOKER_KEYS_DIR", code=2)


def test_a_key_the_master_does_not_know(keys_dir: Path) -> None:
    authorized = Keys.open(keys_dir, create=(Role.MASTER, Role.CLIENT)).authorized
    authorized.write_text(
        "".join(line for line in authorized.read_text().splitlines(True) if not line.startswith("client "))
    )
    with ScriptedMaster(keys_dir, story(), roles=()) as master:
        result = stoker_run(keys_dir, master.address, "prog")
        assert not master.seen
    one_line(result, "key", "authorized")


def test_a_listener_that_speaks_something_else(keys_dir: Path) -> None:
    Keys.open(keys_dir, create=(Role.MASTER, Role.CLIENT))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" + bytes(range(256)) * 10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        result = stoker_run(keys_dir, address, "--timeout", "1", "prog")
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    one_line(result, address)


def silent(master: ScriptedMaster, peer: bytes, message: Message) -> None:
    """Never answers."""


def wrong_numbers(master: ScriptedMaster, peer: bytes, message: Message) -> None:
    if isinstance(message, RegisterApplication):
        for offset in (1000, 2**40):
            other = RegisterApplication(request=message.request + offset, token="x", app=message.app)
            master.send(peer, registered(other), Accepted(request=message.request + offset))


def garbage(master: ScriptedMaster, peer: bytes, message: Message) -> None:
    master.send_raw(peer, b"\x01", os.urandom(200))
    master.send_raw(peer, b"\x01", b"\x91" * 5000)
    master.send_raw(peer, b"\x01")
    master.send_raw(peer, b"\x01", b"", b"")


def other_version(master: ScriptedMaster, peer: bytes, message: Message) -> None:
    master.send_raw(peer, b"\x7f", b"\xc0")


def wrong_kinds(master: ScriptedMaster, peer: bytes, message: Message) -> None:
    request = getattr(message, "request", 0)
    master.send(peer, Accepted(request=request), LogData(request=request), Status(request=request), added(0))


@pytest.mark.parametrize("script", [silent, wrong_numbers, garbage, wrong_kinds])
def test_a_master_that_talks_nonsense_is_unresponsive(keys_dir: Path, script: Script) -> None:
    with ScriptedMaster(keys_dir, script) as master:
        result = stoker_run(keys_dir, master.address, "--timeout", "0.6", "prog")
    one_line(result, "All masters are unresponsive! Giving up.", master.address)
    assert len(result.stderr.splitlines()) == 1


def test_a_master_of_another_version_is_named(keys_dir: Path) -> None:
    with ScriptedMaster(keys_dir, other_version) as master:
        result = stoker_run(keys_dir, master.address, "--timeout", "0.6", "prog")
    one_line(result, "protocol version", "upgrade the older side")


def test_a_refusal_is_the_users_line(keys_dir: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, RegisterApplication):
            master.send(peer, Failed(request=message.request, reason="no more applications, please"))

    with ScriptedMaster(keys_dir, script) as master:
        result = stoker_run(keys_dir, master.address, "prog")
    one_line(result, "no more applications, please")


def test_executors_of_others_and_impossible_answers_change_nothing(keys_dir: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, ReadLog):
            master.send_raw(peer, b"\x01", b"\xc1garbage")
            master.send(peer, LogData(request=message.request + 999, data=b"not for us", ended=True))
        polite(master, peer, message, texts={(0, "stdout"): b"ours\n"}, story=events)

    events = (
        added(9, OTHER),
        ended(3, Exit(code=50)),
        added(0),
        added(0),
        ended(0, Exit(code=0)),
        ended(0, Exit(code=99)),
        removed(),
    )
    with ScriptedMaster(keys_dir, script) as master:
        result = stoker_run(keys_dir, master.address, "prog")
    assert (result.returncode, result.stdout) == (0, "ours\n")
    assert "not for us" not in result.stderr


def test_logs_that_run_in_circles_end(keys_dir: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, ReadLog):
            master.send(peer, LogData(request=message.request, offset=0, size=10**12, data=b"again\n"))
        else:
            polite(master, peer, message, story=(added(0), ended(0, Exit(code=0)), removed()))

    with ScriptedMaster(keys_dir, script) as master:
        result = stoker_run(keys_dir, master.address, "prog")
    assert (result.returncode, result.stdout) == (0, "again\n")
    assert "incomplete: the answers of the master do not fit together" in result.stderr


def test_logs_that_cannot_be_read_do_not_hold_it_up(keys_dir: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, ReadLog):
            master.send(peer, LogData(request=message.request, error="its worker is not connected"))
        else:
            polite(master, peer, message, story=(added(0), running(0), ended(0, Exit(code=0)), removed()))

    with ScriptedMaster(keys_dir, script) as master:
        result = stoker_run(keys_dir, master.address, "prog")
    assert result.returncode == 0
    assert "stdout of executor 0 is incomplete: its worker is not connected" in result.stderr


# --- the library -----------------------------------------------------------------------------------------------------


def test_an_application_in_python(keys_dir: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, RequestExecutors):
            master.send(peer, Accepted(request=message.request), added(1), running(1))
        else:
            polite(master, peer, message, story=(added(0), running(0)))

    told: list[object] = []
    with ScriptedMaster(keys_dir, script) as master:
        with Application(f"spark://{master.address}", WHAT, keys=master.keys, on_event=told.append) as app:
            assert (app.app_id, app.master_url) == (APP_ID, "spark://scripted:7077")
            assert [executor.id for executor in app.wait_for_executors(1, timeout=10)] == [0]
            app.request_executors(2)
            assert [executor.id for executor in app.wait_for_executors(2, timeout=10)] == [0, 1]
            with pytest.raises(Unreachable, match=r"waited 0\.05 s for 3 running executors, 2 executors run"):
                app.wait_for_executors(3, timeout=0.05)
        master.wait_for(lambda: bool(master.gone))
        (message,) = master.got(UnregisterApplication)
    assert isinstance(message, UnregisterApplication) and message.state is ApplicationState.FINISHED
    assert isinstance(told[0], Registered) and isinstance(told[-1], Stopped)
    app.stop()  # a second time: no effect
    with pytest.raises(Refused):
        app.request_executors(1)
    with pytest.raises(Refused):
        app.wait_for_executors(1, timeout=10)


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt, ApplicationState.KILLED), (ValueError, ApplicationState.FAILED)]
)
def test_leaving_by_an_error_tells_how(keys_dir: Path, error: type[BaseException], state: ApplicationState) -> None:
    with ScriptedMaster(keys_dir, story()) as master:
        with pytest.raises(error), Application([master.address], WHAT, keys=master.keys):
            raise error
        (message,) = master.got(UnregisterApplication)
    assert isinstance(message, UnregisterApplication) and message.state is state


def test_it_heartbeats_while_the_program_computes(keys_dir: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, RegisterApplication):
            master.send(peer, registered(message, interval=0.05))
        else:
            polite(master, peer, message)

    with ScriptedMaster(keys_dir, script) as master, Application([master.address], WHAT, keys=master.keys):
        sum(number * number for number in range(300_000))
        master.wait_for(lambda: [type(message).__name__ for message in master.seen].count("ApplicationHeartbeat") >= 3)


def test_it_registers_again_with_a_restarted_master(keys_dir: Path) -> None:
    told: list[object] = []
    first = ScriptedMaster(keys_dir, story(added(0), running(0)))
    port = first.server.port
    app = Application([first.address], WHAT, keys=first.keys, on_event=told.append)
    with app:
        app.wait_for_executors(1, timeout=10)
        first.stop()
        wait_until(lambda: any(isinstance(event, Disconnected) for event in told))

        def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
            if isinstance(message, RegisterApplication):
                master.send(peer, registered(message, epoch=2), added(0), running(0), added(1), running(1))
            else:
                polite(master, peer, message)

        with ScriptedMaster(keys_dir, script, port=port) as second:
            assert second.server.port == port
            assert [executor.id for executor in app.wait_for_executors(2, timeout=10)] == [0, 1]
            (message,) = second.got(RegisterApplication)
            app.stop()
    assert isinstance(message, RegisterApplication)
    assert (message.app_id, message.highest_executor_id) == (APP_ID, 0)
    assert [event.executor.id for event in told if isinstance(event, ExecutorGranted)] == [0, 1]


def test_a_question_over_a_master_restart_is_answered_by_the_next(keys_dir: Path) -> None:
    def deaf(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, RegisterApplication):
            master.send(peer, registered(message))

    first = ScriptedMaster(keys_dir, deaf)
    port = first.server.port
    app = Application([first.address], WHAT, keys=first.keys)
    answers: list[Message] = []
    with app:
        app.ask(GetStatus(request=0), lambda answer: bool(answers.append(answer)))
        first.wait_for(lambda: bool(first.got(GetStatus)))
        first.stop()

        def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
            if isinstance(message, RegisterApplication):
                master.send(peer, registered(message, epoch=2))
            elif isinstance(message, GetStatus):
                master.send(peer, Accepted(request=message.request, text="second"))
            else:
                polite(master, peer, message)

        with ScriptedMaster(keys_dir, script, port=port):
            wait_until(lambda: bool(answers))
            app.stop()
    assert isinstance(answers[0], Accepted) and answers[0].text == "second"


def test_start_says_why_it_cannot(keys_dir: Path) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, RegisterApplication):
            reason = "app-x was registered with another key"
            master.send(peer, Failed(request=message.request, reason=reason, code="not-authorized"))

    with ScriptedMaster(keys_dir, script) as master:
        app = Application([master.address], WHAT, keys=master.keys)
        with pytest.raises(NotAuthorized, match="another key"):
            app.start()
        app.stop()
        app = Application(["127.0.0.1:1"], WHAT, keys=master.keys, registration_timeout=0.2)
        with pytest.raises(Unreachable, match=r"All masters are unresponsive! Giving up\."):
            app.start()
        app.stop()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_thread_or_descriptor_is_left(keys_dir: Path) -> None:
    with ScriptedMaster(keys_dir, story()) as master:

        def once() -> None:
            with Application([master.address], WHAT, keys=master.keys):
                pass

        once()
        threads, descriptors = threading.active_count(), open_descriptors()
        for _ in range(5):
            once()
        wait_until(lambda: threading.active_count() == threads)
        # The master in this process closes its side a moment later.
        wait_until(lambda: open_descriptors() <= descriptors)


def test_a_whole_file_comes_through_in_pieces(keys_dir: Path) -> None:
    text = b"".join(b"line %d\n" % number for number in range(100_000))

    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, ReadLog):
            answer = answer_log(message, {(0, "stdout"): text})
            master.send(peer, answer)
        else:
            polite(master, peer, message, story=(added(0), running(0), ended(0, Exit(code=0)), removed()))

    with ScriptedMaster(keys_dir, script) as master:
        result = stoker_run(keys_dir, master.address, "prog")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.encode() == text
