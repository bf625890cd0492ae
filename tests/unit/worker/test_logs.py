"""Questions about output that wait: answered when something is written, by whatever means the system has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stoker.core.model.lifecycles import JobEvent
from stoker.core.model.messages import LogData, ReadLog
from stoker.core.model.values import Artifact, DriverDescription, Exit
from stoker.core.worker.jobs import DriverJob
from stoker.io.inotify import FileWatch
from stoker.io.loop import Loop
from stoker.worker.jobs import logs as logs_module
from stoker.worker.jobs.logs import RARE_LOOK, WATCHED_LOOK, LogReader
from stoker.worker.keeper.parts import part_name

DRIVER, APP = "driver-20260101000000-0001", "app-20260101000000-0001"
MASTER, OTHER = "m:1", "n:1"


class Reader:
    """A reader over a real loop and real files; ``now`` is its clock (seconds)."""

    def __init__(self, folder: Path) -> None:
        self.start = self.now = time.monotonic()
        self.over = False
        self.answers: list[tuple[str, LogData]] = []
        self.loop = Loop()
        self.logs = LogReader(
            folder,
            is_over=lambda *_: self.over,
            reply=lambda address, answer: self.answers.append((address, answer)),
            loop=self.loop,
        )
        self.path = folder / DRIVER / "stdout"
        self.path.parent.mkdir()
        self.path.write_bytes(b"")

    def ask(self, request: int = 1, *, offset: int = 0, wait: float = 30.0, address: str = MASTER) -> None:
        message = ReadLog(request=request, id=DRIVER, stream="stdout", offset=offset, wait=wait)
        self.logs.ask(address, message, self.now)

    def pump(self) -> list[LogData]:
        """What is answered because of the kernel's notifications that are there now."""
        rounds = iter((time.monotonic(), None))

        def on_round() -> float | None:
            deadline = next(rounds)
            if deadline is None:
                self.loop.stop()
            return deadline

        self.loop.run(on_round)
        return self.taken()

    def look(self) -> list[LogData]:
        self.logs.look(self.now)
        return self.taken()

    def taken(self) -> list[LogData]:
        answers, self.answers = self.answers, []
        return [answer for _, answer in answers]

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    yield made
    made.logs.close()
    made.loop.close()


@pytest.fixture
def blind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Without inotify."""

    def none() -> FileWatch:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(logs_module, "FileWatch", none)
    made = Reader(tmp_path)
    yield made
    made.logs.close()
    made.loop.close()


def watches(reader: Reader) -> int:
    """How many files the kernel watches for it."""
    assert reader.logs._watch is not None
    text = Path(f"/proc/self/fdinfo/{reader.logs._watch.descriptor}").read_text()
    return sum(line.startswith("inotify wd:") for line in text.splitlines())


def test_what_is_there_is_answered_at_once(reader: Reader) -> None:
    reader.append(b"hello")
    reader.ask(offset=1)
    (answer,) = reader.taken()
    assert (answer.offset, answer.data, answer.size, answer.ended) == (1, b"ello", 5, False)
    reader.ask(offset=5, wait=0)
    assert reader.taken()[0].data == b""
    assert watches(reader) == 0


def test_a_write_is_answered_without_a_look(reader: Reader) -> None:
    for request in (1, 2):
        reader.ask(request)
    reader.ask(3, address=OTHER)
    assert watches(reader) == 1
    assert reader.pump() == []
    reader.append(b"a line\n")
    assert sorted((answer.request, answer.data) for answer in reader.pump()) == [(n, b"a line\n") for n in (1, 2, 3)]
    assert watches(reader) == 0
    reader.append(b"more")
    assert reader.pump() == []
    reader.ask(4, offset=7)
    assert [answer.data for answer in reader.taken()] == [b"more"]
    reader.ask(5, offset=11)
    reader.append(b"!")
    assert [answer.data for answer in reader.pump()] == [b"!"]


def test_nothing_is_done_while_nothing_comes(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.ask()
    opened = []
    monkeypatch.setattr(logs_module.LogReader, "read", lambda self, message: opened.append(message))
    start = reader.now
    looks = 0
    while (due := reader.logs.next_deadline()) < start + 30:
        reader.now = due
        assert reader.look() == []
        looks += 1
    assert opened == []
    assert looks <= 30 / WATCHED_LOOK


def test_the_time_of_a_question_ends(reader: Reader) -> None:
    reader.ask(7, wait=12.0)
    reader.now += 11.9
    assert reader.look() == []
    assert reader.logs.next_deadline() == pytest.approx(reader.start + 12.0)
    reader.now = reader.start + 12.0
    (answer,) = reader.look()
    assert (answer.request, answer.data, answer.ended, answer.error) == (7, b"", False, "")
    assert watches(reader) == 0
    assert reader.logs.next_deadline() == float("inf")


def job() -> DriverJob:
    driver = DriverDescription(kind="program", main="x", artifacts=(Artifact(name="x", url="file:///x"),))
    return DriverJob(key="k", cores=1, memory_mib=1, driver_id=DRIVER, attempt=1, driver=driver)


def test_processes_that_start_and_end(reader: Reader) -> None:
    reader.path.unlink()
    reader.ask(1)
    reader.path.write_bytes(b"")
    reader.logs.job_changed(job())
    assert reader.look() == []
    assert watches(reader) == 1, "it has started: from now on it is watched"
    reader.over = True
    reader.logs.job_changed(job())
    (answer,) = reader.look()
    assert (answer.ended, answer.data, answer.error) == (True, b"", "")


def test_the_end_of_all_processes(reader: Reader) -> None:
    reader.ask()
    reader.over = True
    reader.logs.all_changed()
    assert [answer.ended for answer in reader.look()] == [True]


def test_a_master_that_is_gone_is_not_answered(reader: Reader) -> None:
    reader.ask(1)
    reader.ask(2, address=OTHER)
    reader.logs.forget(MASTER)
    reader.append(b"x")
    reader.pump()
    assert reader.answers == []
    reader.ask(3)
    reader.ask(4, offset=1)
    reader.logs.forget(MASTER)
    assert watches(reader) == 0


def test_an_output_that_is_rolled_is_read_on(tmp_path: Path, reader: Reader) -> None:
    folder = tmp_path / APP / "3"
    folder.mkdir(parents=True)
    path = folder / "stdout"
    path.write_bytes(b"old")
    message = ReadLog(request=1, id=APP, executor_id=3, stream="stdout", offset=3, wait=30.0)
    reader.logs.ask(MASTER, message, reader.now)
    path.rename(part_name(str(path), "2026-01-31--12-00-00", 0, 3))
    assert reader.pump() == []  # the new file is not there yet
    path.write_bytes(b"new")
    reader.now = reader.logs.next_deadline()
    assert reader.now < time.monotonic() + 2 * RARE_LOOK
    (answer,) = reader.look()
    assert (answer.offset, answer.data, answer.size) == (3, b"new", 6)


def test_lost_notifications_cost_nothing(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.ask()
    reader.append(b"x")
    assert reader.logs._watch is not None
    monkeypatch.setattr(reader.logs._watch, "changed", lambda: ([], True))
    reader.logs.files_changed(reader.now)
    assert [answer.data for answer in reader.taken()] == [b"x"]


def test_what_comes_between_reading_and_watching_is_not_missed(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reader.logs._watch is not None
    add = reader.logs._watch.add

    def late(path: Path) -> int | None:
        reader.append(b"x")
        return add(path)

    monkeypatch.setattr(reader.logs._watch, "add", late)
    reader.ask()
    assert [answer.data for answer in reader.taken()] == [b"x"]


def seen_after(reader: Reader, change: Callable[[], None], idle: float) -> float:
    """How long (seconds) after ``idle`` seconds of nothing a change is answered by looks alone."""
    reader.ask()
    start = reader.now
    looks = 0
    while reader.now < start + idle:
        reader.now = reader.logs.next_deadline()
        assert reader.look() == []
        looks += 1
    assert looks <= 10 + idle / RARE_LOOK
    change()
    at = reader.now
    while not (answers := reader.look()):
        reader.now = reader.logs.next_deadline()
    assert answers[0].data == b"x"
    return reader.now - at


@pytest.mark.parametrize(("idle", "within"), [(0.0, 0.02), (10.0, RARE_LOOK)])
def test_without_notifications_it_looks_and_ever_more_rarely(blind: Reader, idle: float, within: float) -> None:
    assert seen_after(blind, lambda: blind.append(b"x"), idle) <= within + 1e-6


def test_a_file_that_cannot_be_watched_is_looked_at(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when ``fs.inotify.max_user_watches`` is used up."""
    assert reader.logs._watch is not None
    monkeypatch.setattr(reader.logs._watch, "add", lambda path: None)
    assert seen_after(reader, lambda: reader.append(b"x"), 5.0) <= RARE_LOOK + 1e-6


def test_a_change_that_the_kernel_does_not_report_is_found_later(reader: Reader) -> None:
    """As by a write on another machine of a network file system."""
    reader.ask()
    reader.append(b"x")  # its notification is not read
    reader.now += WATCHED_LOOK
    assert [answer.data for answer in reader.look()] == [b"x"]


def test_many_answered_questions_leave_nothing(reader: Reader) -> None:
    for number in range(1000):
        reader.ask(number, offset=number)
        reader.append(b"x")
        assert len(reader.pump()) == 1
        assert reader.look() == []  # a new round, in which there is time for questions again
    assert len(reader.logs._looks) < 200
    assert not reader.logs._held
    assert not reader.logs._watched
    assert watches(reader) == 0


def test_a_watch_reports_once_and_needs_a_file(tmp_path: Path) -> None:
    watch = FileWatch()
    try:
        assert watch.add(tmp_path / "none") is None
        path = tmp_path / "file"
        path.write_bytes(b"")
        number = watch.add(path)
        assert number is not None
        assert watch.add(path) == number
        path.write_bytes(b"x")
        path.write_bytes(b"y")
        watches, lost = watch.changed()
        assert (set(watches), lost) == ({number}, False)
        assert watch.changed() == ([], False)
        watch.remove(number)
        (tmp_path / "link").symlink_to(path)
        again = watch.add(tmp_path / "link")
        assert again not in (None, number)
        path.write_bytes(b"z")
        assert watch.changed() == ([], False), "the link itself is watched"
    finally:
        watch.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(watch.descriptor)


def test_lost_notifications_are_said_to_be_lost(tmp_path: Path) -> None:
    """The kernel keeps a bounded number; a watched file causes two."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 20_000:
        pytest.skip(f"this system keeps {most} notifications")
    watch = FileWatch()
    try:
        for number in range(most // 2 + 2):
            path = tmp_path / str(number)
            path.touch()
            assert watch.add(path) is not None
            path.write_bytes(b"x")
        answers = iter(watch.changed, ([], False))
        assert [lost for _, lost in answers].count(True) == 1
    finally:
        watch.close()


def test_an_output_that_its_job_truncated_is_read_from_its_start(reader: Reader) -> None:
    reader.append(b"0123456789")
    reader.path.write_bytes(b"new")
    reader.ask(offset=10)
    (answer,) = reader.taken()
    assert (answer.offset, answer.data, answer.size) == (0, b"new", 3)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("offset", range(11, 16))
def test_a_match_across_two_searches_is_found(reader: Reader, offset: int, backwards: bool) -> None:
    reader.append(b"x" * 10 + b"needle" + b"x" * 10)
    before = ReadLog(
        request=1, id=DRIVER, stream="stdout", offset=offset if backwards else 0, limit=offset, find="Needle",
        backwards=backwards,
    )  # fmt: skip
    answer = reader.logs.read(before)
    assert (answer.found, answer.searched) == (10, offset)
    after = ReadLog(request=1, id=DRIVER, stream="stdout", offset=offset, limit=100, find="Needle")
    assert reader.logs.read(after).found == -1


@pytest.mark.parametrize("job_id", [f"{DRIVER}/../../secret", f"{APP}/../..", f"../{DRIVER}", f"{DRIVER}\n", "..", ""])
def test_only_outputs_of_jobs_are_shown(tmp_path: Path, job_id: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for folder in (tmp_path / "secret", tmp_path / DRIVER, tmp_path / "7"):
        folder.mkdir()
        (folder / "stdout").write_text("secret")
    reader = LogReader(work, is_over=lambda *_: True, reply=lambda *_: None)
    (work / DRIVER).mkdir()
    answer = reader.read(ReadLog(request=1, id=job_id, stream="stdout", executor_id=7, offset=0))
    assert answer.data == b"" and answer.error == "invalid name of an output"
    reader.close()


def test_a_driver_has_ended_when_all_its_attempts_here_have() -> None:
    driver = DriverDescription(kind="program", main="t", artifacts=(Artifact(name="t", url="local:/t"),))
    first, second = (
        DriverJob(key=f"k{number}", cores=1, memory_mib=1, driver_id=DRIVER, attempt=number, driver=driver)
        for number in (1, 2)
    )
    assert not logs_module.has_ended({"k1": first}, DRIVER, -1)  # its files are being fetched
    first.run(JobEvent.FOUND)
    first.end(Exit(code=1), could_not_run=False)
    assert logs_module.has_ended({"k1": first}, DRIVER, -1)
    assert not logs_module.has_ended({"k1": first, "k2": second}, DRIVER, -1)
    assert logs_module.has_ended({}, DRIVER, -1)
