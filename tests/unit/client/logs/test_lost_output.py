"""A follower and its agenda without any connection: lost output is reported, and only due questions are worked on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from stoker.client.logs import follower as follower_module
from stoker.client.logs.follower import GIVE_UP_ANSWER, LAST_TRIES, Agenda, FollowedJob, Follower, Task
from stoker.client.session.asker import Exchange, Then
from stoker.core.model.messages import Failed, LogData, Message, ReadLog
from stoker.errors import Refused

APP = "app-20260101000000-0001"


@dataclass
class Worker:
    """Answers at once, when told to. ``answers`` are tried one after the other."""

    answers: list[Message] = field(default_factory=list)
    asked: list[ReadLog] = field(default_factory=list)
    open: list[Exchange] = field(default_factory=list)
    refuses: bool = False

    def ask(
        self, question: Message, then: Then, *, on_lost: Callable[[], None] | None = None, prompt: bool = True
    ) -> Exchange:
        if self.refuses:
            raise Refused("the application is not running")
        assert isinstance(question, ReadLog)
        assert not prompt
        self.asked.append(question)
        self.open.append(Exchange(question, then))
        return self.open[-1]

    def forget(self, exchange: Exchange) -> None:
        self.open.remove(exchange)

    def answer(self, message: Message) -> None:
        assert self.open.pop(0).then(message)


class Executor(FollowedJob):
    over = False

    @property
    def is_over(self) -> bool:
        return self.over

    def end(self) -> None:
        self.over = True
        self.changed()


@dataclass
class Screen:
    text: bytes = b""
    notices: list[str] = field(default_factory=list)
    finished: int = 0

    def write(self, data: bytes) -> None:
        self.text += data

    def finish(self) -> None:
        self.finished += 1

    def notice(self, line: str) -> None:
        self.notices.append(line)


class Scene:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, offset: int = 0) -> None:
        self.now = 1000.0
        monkeypatch.setattr(follower_module.time, "monotonic", lambda: self.now)  # type: ignore[attr-defined]
        self.worker, self.job, self.screen = Worker(), Executor(APP, 0, "executor 0"), Screen()
        self.follower = Follower(self.worker, self.job, "stdout", self.screen, offset=offset)
        self.agenda = Agenda(self.job, self.follower)

    def says(self, *answers: LogData | Failed) -> None:
        """Each is the answer to the next question."""
        for answer in answers:
            while not self.worker.open:
                self.now = max(self.now, self.agenda.work())
                assert not math.isinf(self.now)
            self.worker.answer(answer)
            self.agenda.work()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def data(offset: int, text: bytes, size: int | None = None, **more: bool | int) -> LogData:
    return LogData(request=0, offset=offset, data=text, size=offset + len(text) if size is None else size, **more)  # type: ignore[arg-type]


def test_removed_bytes_are_named_once_and_summed_up(scene: Scene) -> None:
    scene.says(data(100, b"abc", first=100), data(103, b"d"), data(200, b"e"), data(201, b"", ended=True))
    assert scene.screen.text == b"abcde"
    (line,) = scene.screen.notices
    assert "bytes 0 to 100 of stdout of executor 0 are lost" in line
    scene.job.end()
    scene.agenda.work()
    assert scene.follower.done
    assert scene.follower.problem == ""
    assert scene.screen.notices[1:] == ["in all, 196 bytes of stdout of executor 0 are lost"]
    assert scene.screen.finished == 1


def test_everything_after_a_place_may_be_removed(scene: Scene) -> None:
    scene.says(data(50, b"", size=50, first=50), data(50, b"x", ended=True))
    assert scene.screen.text == b"x"
    assert "bytes 0 to 50" in scene.screen.notices[0]


def test_an_output_that_begins_anew_is_followed_and_said_once(scene: Scene) -> None:
    scene.says(data(0, b"12345"), data(0, b"ab"), data(2, b"c"), data(0, b"d", size=1, ended=True))
    assert scene.screen.text == b"12345abcd"
    (line,) = scene.screen.notices
    assert "stdout of executor 0 began anew" in line


def test_answers_that_do_not_fit_end_it(scene: Scene) -> None:
    scene.says(data(0, b"again", size=10**12), data(0, b"again", size=10**12))
    assert scene.screen.text == b"again"
    assert scene.follower.done
    assert "do not fit together" in scene.follower.problem
    scene.now += 1000
    assert scene.agenda.work() == math.inf
    assert len(scene.worker.asked) == 2, "nothing more is asked, though it runs"


def test_an_end_before_all_is_read_is_no_end(scene: Scene) -> None:
    scene.job.end()
    scene.says(data(0, b"ab", size=4, ended=True), data(2, b"cd", ended=True))
    assert scene.screen.text == b"abcd"
    assert scene.follower.done


def test_an_answer_that_does_not_come_is_asked_for_again(scene: Scene) -> None:
    scene.agenda.work()
    late = scene.worker.open[0]
    scene.now += GIVE_UP_ANSWER
    scene.agenda.work()
    assert len(scene.worker.asked) == 2
    assert late.then(data(0, b"too late"))
    assert scene.screen.text == b""
    scene.says(data(0, b"in time"))
    assert scene.screen.text == b"in time"


def test_a_worker_that_comes_back_is_read_on(scene: Scene) -> None:
    scene.says(data(0, b"before."))
    scene.job.end()
    scene.says(*[LogData(request=0, error="its worker is not connected")] * LAST_TRIES)
    assert scene.follower.done
    assert scene.follower.problem == "its worker is not connected"
    scene.job.over = False
    scene.job.changed()
    scene.says(data(7, b"after.", ended=True))
    assert scene.screen.text == b"before.after."
    scene.job.end()
    scene.agenda.work()
    assert (scene.follower.done, scene.follower.problem) == (True, "")


def test_giving_up_and_a_closed_application(scene: Scene) -> None:
    scene.agenda.work()
    scene.follower.give_up("no answer")
    assert (scene.follower.done, scene.follower.problem, scene.worker.open) == (True, "no answer", [])
    scene.worker.refuses = True
    other = Follower(scene.worker, scene.job, "stderr", scene.screen)
    scene.agenda.add(other)
    scene.now += 1000
    assert scene.agenda.work() == math.inf
    assert "not running" in other.problem


@pytest.mark.parametrize("seed", range(20))
def test_each_task_is_worked_on_when_it_is_due_and_not_before(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now, rng = 0.0, random.Random(seed)
    monkeypatch.setattr(follower_module.time, "monotonic", lambda: now)  # type: ignore[attr-defined]

    class Timed(Task):
        due = 0.0
        woken = True
        works = 0

        def work(self) -> float:
            assert self.woken or now >= self.due, "it was worked on for nothing"
            assert not (self.due < now and not self.woken and self.works and now - self.due > step), "too late"
            self.works, self.woken = self.works + 1, False
            self.due = rng.choice([now + rng.random(), now + 10 * rng.random(), math.inf])
            return self.due

    step = 0.3
    tasks = [Timed() for _ in range(10)]
    agenda = Agenda(*tasks)
    for _ in range(200):
        assert agenda.work() <= min(task.due for task in tasks)
        if rng.random() < 0.3:
            task = rng.choice(tasks)
            task.woken = True
            task.wake()
            agenda.work()
        now += step * rng.random()
        late = [task for task in tasks if task.due <= now]
        before = [task.works for task in late]
        agenda.work()
        assert all(task.works > works for task, works in zip(late, before, strict=True))
    assert len(agenda._heap) < 100
