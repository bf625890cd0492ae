"""Following output over attempts, workers and masters that come and go, against a master that plays a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stoker.client.logs import follower as follower_module
from stoker.client.logs import jobs as jobs_module
from stoker.client.logs.follower import stream_of
from stoker.client.logs.jobs import PolledExecutor, WatchedDriver
from stoker.client.session.session import Session
from stoker.core.model.messages import DriverUpdate, Failed, GetStatus, LogData, Message, ReadLog, Status, WatchDriver
from stoker.core.model.states import ApplicationState, DriverState, ExecutorState
from stoker.core.model.views import AppView, AttemptView, DriverView, ExecutorView
from stoker.errors import NotFound, StokerError
from tests.support.scripted_master import ScriptedMaster

ID = "driver-20260101000000-0001"
APP = "app-20260101000000-0001"
A, A_AGAIN, B = "worker-20260101000000-a-1", "worker-20260102000000-a-1", "worker-20260101000000-b-2"


def driver(state: DriverState, *workers: str) -> DriverView:
    attempts = tuple(
        AttemptView(number=number, worker_id=worker, state=DriverState.FAILED, started=1.0)
        for number, worker in enumerate(workers, 1)
    )
    return DriverView(
        id=ID, name="job", state=state, submitted=1.0, cores=1, memory_mib=1, main="job", attempts=attempts
    )


@dataclass
class Story:
    """A driver's life: ``step`` is played whenever output is asked for, and may change everything below."""

    view: DriverView
    step: Callable[[Story, ReadLog], None]
    text: bytes = b""  # of the file of the latest attempt
    file: str = "f"
    ended: bool = False
    error: str = ""
    waiting: bool = False
    offsets: list[int] = field(default_factory=list)

    def __call__(self, master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, WatchDriver):
            self.watch = message.request
            master.send(peer, DriverUpdate(request=message.request, driver=self.view))
        elif isinstance(message, ReadLog):
            before = self.view
            self.offsets.append(message.offset)
            self.step(self, message)
            master.send(peer, self.answer(message))
            if self.view is not before:
                master.send(peer, DriverUpdate(request=self.watch, driver=self.view))

    def answer(self, message: ReadLog) -> Message:
        if self.error:
            return LogData(request=message.request, error=self.error, ended=self.ended)
        data = self.text[message.offset : message.offset + message.limit]
        return LogData(
            request=message.request, offset=message.offset, size=len(self.text), data=data, ended=self.ended,
            waiting=self.waiting, file=self.file,
        )  # fmt: skip


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[[Story], tuple[bytes, WatchedDriver]]]:
    with ExitStack() as stack:

        def run(story: Story) -> tuple[bytes, WatchedDriver]:
            master = stack.enter_context(ScriptedMaster(tmp_path / "keys", story))
            session = stack.enter_context(Session([master.address], keys=master.keys))
            watched = WatchedDriver(session, ID)
            watched.watch()
            return b"".join(stream_of(session, watched, "stdout")), watched

        yield run


Play = Callable[[Story], "tuple[bytes, WatchedDriver]"]


def steps(*functions: Callable[[Story], None]) -> Callable[[Story, ReadLog], None]:
    """Each for one question; after the last, nothing changes."""
    rest = list(functions)

    def step(story: Story, message: ReadLog) -> None:
        if rest:
            rest.pop(0)(story)

    return step


def set_to(**values: object) -> Callable[[Story], None]:
    def change(story: Story) -> None:
        for name, value in values.items():
            setattr(story, name, value)

    return change


def test_one_run_to_its_end(play: Play) -> None:
    finish = set_to(text=b"one two", ended=True, view=driver(DriverState.FINISHED, A))
    story = Story(driver(DriverState.RUNNING, A), steps(set_to(text=b"one "), finish))
    text, watched = play(story)
    assert text == b"one two"
    assert watched.view is not None
    assert watched.view.state is DriverState.FINISHED
    assert story.offsets == [0, 4], "the end was known: no further question"


@pytest.mark.parametrize("second", [A, B])
def test_a_restart_that_appends(play: Play, second: str) -> None:
    """On the same worker, or on another one of the same machine with the same directory."""
    story = Story(
        driver(DriverState.RUNNING, A),
        steps(
            set_to(text=b"first.", ended=True, view=driver(DriverState.RUNNING, A, second)),
            set_to(text=b"first.second.", view=driver(DriverState.FINISHED, A, second)),
        ),
    )
    text, _ = play(story)
    assert text == b"first.second."
    assert story.offsets[:2] == [0, 6]


def test_a_restart_elsewhere_begins_anew_and_may_come_back(play: Play) -> None:
    story = Story(
        driver(DriverState.RUNNING, A),
        steps(
            set_to(text=b"long on a.", ended=True, view=driver(DriverState.RUNNING, A, B)),
            set_to(text=b"on b.", file="g"),
            set_to(view=driver(DriverState.RUNNING, A, B, A)),
            set_to(text=b"long on a.again.", file="f", view=driver(DriverState.FINISHED, A, B, A)),
        ),
    )
    text, _ = play(story)
    assert text == b"long on a.on b.again."


def test_a_worker_that_comes_back_under_another_name_has_the_same_file(play: Play) -> None:
    story = Story(
        driver(DriverState.RUNNING, A),
        steps(
            set_to(text=b"before.", view=driver(DriverState.RUNNING, A_AGAIN)),
            set_to(text=b"before.after.", ended=True, view=driver(DriverState.FINISHED, A_AGAIN)),
        ),
    )
    assert play(story)[0] == b"before.after."
    assert story.offsets[:2] == [0, 7]


def test_nothing_is_asked_of_what_never_ran(play: Play) -> None:
    story = Story(driver(DriverState.KILLED), steps())
    assert play(story)[0] == b""
    assert story.offsets == []


def test_a_worker_that_is_away_is_asked_again(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "RETRY_ERROR", 0.01)
    story = Story(
        driver(DriverState.RUNNING, A),
        steps(
            set_to(text=b"ab"),
            *[set_to(error="its worker is not connected")] * 8,
            set_to(error="", text=b"abc", ended=True, view=driver(DriverState.FINISHED, A)),
        ),
    )
    assert play(story)[0] == b"abc"


def test_what_is_lost_with_its_worker_is_said(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "RETRY_ERROR", 0.01)
    gone = set_to(error="its output is on a, which is not connected", view=driver(DriverState.ERROR, A))
    story = Story(driver(DriverState.RUNNING, A), steps(gone))
    with pytest.raises(StokerError, match="which is not connected"):
        play(story)


def test_a_run_that_never_wrote_is_at_its_end(play: Play) -> None:
    story = Story(driver(DriverState.ERROR, A), steps(set_to(error="there is no output", ended=True)))
    assert play(story)[0] == b""
    assert len(story.offsets) == 1


def test_a_launch_under_way_is_asked_again(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "LOOK_AGAIN", 0.01)
    finish = set_to(waiting=False, text=b"x", ended=True, view=driver(DriverState.FINISHED, A))
    story = Story(driver(DriverState.RUNNING, A), steps(set_to(waiting=True), set_to(waiting=True), finish))
    assert play(story)[0] == b"x"
    assert len(story.offsets) == 3


def test_unknown_drivers_fail_at_once_and_known_ones_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "RETRY_ERROR", 0.01)

    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        assert isinstance(message, WatchDriver)
        if len(master.seen) < 4:
            master.send(peer, Failed(request=message.request, reason="There is no driver", code="not-found"))
        else:
            master.send(peer, DriverUpdate(request=message.request, driver=driver(DriverState.KILLED)))

    with ScriptedMaster(tmp_path / "keys", script) as master, Session([master.address], keys=master.keys) as session:
        unknown = WatchedDriver(session, ID)
        unknown.watch()
        with pytest.raises(NotFound):
            list(stream_of(session, unknown, "stdout"))
        assert len(master.seen) == 1
        known = WatchedDriver(session, ID, known=True)
        known.watch()
        assert list(stream_of(session, known, "stdout")) == []
        assert len(master.seen) == 4


def test_a_master_that_is_replaced_costs_nothing_of_the_output(tmp_path: Path) -> None:
    text = b"0123456789"

    def first(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, WatchDriver):
            master.send(peer, DriverUpdate(request=message.request, driver=driver(DriverState.RUNNING, A)))
        elif isinstance(message, ReadLog):
            if message.offset == 0:
                master.send(peer, LogData(request=message.request, size=4, data=text[:4], file="f"))
            else:
                master.loop.stop()

    second = Story(driver(DriverState.FINISHED, A), steps(), text=text, ended=True)
    keys = tmp_path / "keys"
    with (
        ScriptedMaster(keys, first) as one,
        ScriptedMaster(keys, second) as two,
        Session([one.address, two.address], keys=one.keys) as session,
    ):
        watched = WatchedDriver(session, ID)
        watched.watch()
        assert b"".join(stream_of(session, watched, "stdout")) == text
    assert second.offsets == [4]


def test_an_executor_whose_worker_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "RETRY_ERROR", 0.01)
    executor = ExecutorView(id=2, worker_id=A, host="a", cores=1, memory_mib=1, state=ExecutorState.RUNNING)

    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if isinstance(message, ReadLog):
            master.send(peer, LogData(request=message.request, error="its worker is not connected"))
        elif isinstance(message, GetStatus):
            lives = len(master.got(GetStatus)) < 5
            app = AppView(
                id=APP, name="x", user="u", state=ApplicationState.RUNNING, submitted=1.0,
                executors=(executor,) if lives else (),
            )  # fmt: skip
            master.send(peer, Status(request=message.request, app=app))

    with ScriptedMaster(tmp_path / "keys", script) as master, Session([master.address], keys=master.keys) as session:
        with pytest.raises(StokerError, match="not connected"):
            list(stream_of(session, PolledExecutor(session, APP, 2), "stderr"))
        assert len(master.got(ReadLog)) >= 5
