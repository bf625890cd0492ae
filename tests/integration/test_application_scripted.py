"""An application in Python against a scripted master: start, heartbeats, a master's restart, the end."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stoker.client.application.app import Application
from stoker.core.application.events import Disconnected, ExecutorGranted, Registered, Stopped
from stoker.core.model.messages import (
    Accepted,
    Failed,
    GetStatus,
    Message,
    RegisterApplication,
    RequestExecutors,
    UnregisterApplication,
)
from stoker.core.model.states import ApplicationState
from stoker.core.model.values import ApplicationDescription, Command
from stoker.errors import NotAuthorized, Refused, Unreachable
from tests.support.scripted_master import (
    APP_ID,
    ScriptedMaster,
    added,
    polite,
    registered,
    running,
)
from tests.support.scripted_run import story
from tests.support.wait import wait_until

WHAT = ApplicationDescription(name="test", command=Command(argv=("true",)))


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
