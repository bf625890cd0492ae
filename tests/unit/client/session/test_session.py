"""A session against masters that lead, do not lead, vanish, keep silent or answer nonsense: real sockets, keys and codec."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stoker.client.session import session as session_module
from stoker.client.session.session import Session
from stoker.core.model.messages import (
    Accepted,
    DriverUpdate,
    Failed,
    GetStatus,
    KillJob,
    Message,
    SubmitDriver,
    Submitted,
    UploadChunk,
    WatchDriver,
)
from stoker.core.model.states import DriverState, Role
from stoker.core.model.values import Artifact, DriverDescription
from stoker.core.model.views import DriverView
from stoker.errors import NotAuthorized, NotFound, Refused, StokerError, Unreachable
from stoker.security.keys import Keys
from tests.support.cluster import free_port
from tests.support.scripted_master import Script, ScriptedMaster

DRIVER = DriverDescription(kind="program", main="job", artifacts=(Artifact(name="job", url="file:/bin/true"),))
ID = "driver-20260101000000-0001"

Start = Callable[..., ScriptedMaster]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts masters that share keys."""
    with ExitStack() as stack:
        yield lambda script, port=0: stack.enter_context(ScriptedMaster(tmp_path / "keys", script, port=port))


def accept(master: ScriptedMaster, peer: bytes, message: Message) -> None:
    master.send(peer, Accepted(request=message.request, text=master.address))  # type: ignore[attr-defined]


def fail(**more: object) -> Script:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        master.send(peer, Failed(request=message.request, **more))  # type: ignore[attr-defined, arg-type]

    return script


def silent(master: ScriptedMaster, peer: bytes, message: Message) -> None:
    """A master that never answers."""


def kill(session: Session) -> str:
    answer = session.call(KillJob(request=0, id=ID))
    assert isinstance(answer, Accepted)
    return answer.text


def view(state: DriverState) -> DriverView:
    return DriverView(id=ID, name="job", state=state, submitted=1.0, cores=1, memory_mib=1, main="job")


def test_answers_find_their_questions_in_any_order(start: Start) -> None:
    waiting: list[Message] = []

    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        waiting.append(message)
        if len(waiting) == 3:
            master.send(peer, Accepted(request=12345))
            for asked in reversed(waiting):
                assert isinstance(asked, KillJob)
                master.send(peer, Accepted(request=asked.request, text=asked.id))

    master = start(script)
    found: dict[str, str] = {}

    def keep(name: str) -> Callable[[Message], bool]:
        def handle(answer: Message) -> bool:
            assert isinstance(answer, Accepted)
            found[name] = answer.text
            return True

        return handle

    with Session([master.address], keys=master.keys) as session:
        for name in ("a", "b", "c"):
            session.ask(KillJob(request=0, id=name), keep(name))
        assert session.wait(lambda: len(found) == 3, 10)
    assert found == {"a": "a", "b": "b", "c": "c"}


def test_a_standby_sends_us_to_the_leader(start: Start) -> None:
    leader = start(accept)
    standby = start(fail(reason="Current state is not alive: STANDBY.", code="not-leader", leader=leader.address))
    with Session([standby.address], keys=leader.keys) as session:
        assert kill(session) == leader.address
        assert kill(session) == leader.address
    assert len(standby.seen) == 1


def test_a_recovering_master_is_asked_until_it_leads(start: Start) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        if len(master.seen) < 4:
            fail(reason="Current state is not alive: RECOVERING.", code="not-leader")(master, peer, message)
        else:
            accept(master, peer, message)

    master = start(script)
    with Session([master.address], keys=master.keys) as session:
        assert kill(session) == master.address


def test_a_master_that_never_leads_is_named_in_the_end(start: Start) -> None:
    master = start(fail(reason="Current state is not alive: RECOVERING.", code="not-leader"))
    with (
        Session([master.address], keys=master.keys, timeout=0.5) as session,
        pytest.raises(Unreachable, match="RECOVERING"),
    ):
        kill(session)
    assert 2 <= len(master.seen) < 50, "retries must be paced"


def test_the_next_master_is_asked_when_the_first_is_down(start: Start) -> None:
    master = start(accept)
    started = time.monotonic()
    with Session([f"127.0.0.1:{free_port()}", master.address], keys=master.keys) as session:
        assert kill(session) == master.address
    assert time.monotonic() - started < 2


def test_a_master_that_accepts_and_says_nothing_does_not_hold_us_up(start: Start) -> None:
    import socket

    master = start(accept)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the kernel accepts; no handshake follows
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        started = time.monotonic()
        with Session([address, master.address], keys=master.keys) as session:
            assert kill(session) == master.address
        assert time.monotonic() - started < 2


def test_unanswered_questions_go_to_the_next_master(start: Start) -> None:
    second = start(lambda master, peer, message: master.send(peer, Submitted(request=message.request, driver_id=ID)))
    first = start(silent)
    answers: list[Message] = []
    with Session([first.address, second.address], keys=first.keys) as session:
        session.ask(
            SubmitDriver(request=0, token="t1", driver=DRIVER), lambda answer: bool(answers.append(answer)) or True
        )
        session.connect()
        first.wait_for(lambda: len(first.seen) == 1)
        first.stop()
        assert session.wait(lambda: bool(answers), 10)
    assert isinstance(answers[0], Submitted)
    assert [message.token for message in second.seen if isinstance(message, SubmitDriver)] == ["t1"]


def test_a_restarted_master_is_found_again(start: Start) -> None:
    first = start(accept)
    port = int(first.address.rpartition(":")[2])
    with Session([first.address], keys=first.keys) as session:
        kill(session)
        first.stop()
        start(accept, port)
        assert kill(session) == first.address


def test_what_must_not_be_repeated_is_told_that_the_link_is_lost(start: Start) -> None:
    first = start(silent)
    lost: list[bool] = []
    with Session([first.address], keys=first.keys, timeout=0.3) as session:
        session.connect()
        chunk = UploadChunk(request=0, sha256="0" * 64, size=1, offset=0, data=b"x")
        session.ask(chunk, lambda answer: True, on_lost=lambda: lost.append(True))
        first.wait_for(lambda: len(first.seen) == 1)
        first.stop()
        with pytest.raises(Unreachable):
            session.wait(lambda: False, 10)
    assert lost == [True]


def test_a_master_that_does_not_answer_is_left(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "ANSWER_WITHIN", 0.2)
    first, second = start(silent), start(accept)
    with Session([first.address, second.address], keys=first.keys) as session:
        assert kill(session) == second.address


def test_a_question_may_have_several_answers(start: Start) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        assert isinstance(message, WatchDriver)
        for state in (DriverState.RUNNING, DriverState.FINISHED, DriverState.FINISHED):
            master.send(peer, DriverUpdate(request=message.request, driver=view(state)))

    master = start(script)
    states: list[DriverState] = []

    def then(answer: Message) -> bool:
        assert isinstance(answer, DriverUpdate)
        states.append(answer.driver.state)
        return states[-1] is DriverState.FINISHED

    with Session([master.address], keys=master.keys) as session:
        session.ask(WatchDriver(request=0, driver_id=ID), then)
        assert session.wait(lambda: len(states) == 2, 5)
        assert not session.wait(lambda: len(states) == 3, 0.3), "the answer that is the last one ends it"


def test_a_silent_watch_is_no_reason_to_leave(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "ANSWER_WITHIN", 0.2)

    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        assert isinstance(message, WatchDriver)
        master.send(peer, DriverUpdate(request=message.request, driver=view(DriverState.RUNNING)))

    master = start(script)
    updates: list[Message] = []
    with Session([master.address], keys=master.keys) as session:
        session.ask(WatchDriver(request=0, driver_id=ID), lambda answer: bool(updates.append(answer)))
        assert not session.wait(lambda: len(updates) > 1, 0.6)
    assert len(master.seen) == 1


def test_refusals_are_told_apart(start: Start) -> None:
    codes = {"refused": Refused, "not-found": NotFound, "not-authorized": NotAuthorized, "bad-request": Refused}

    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        assert isinstance(message, GetStatus)
        master.send(peer, Failed(request=message.request, reason=f"no: {message.id}", code=message.id))  # type: ignore[arg-type]

    master = start(script)
    with Session([master.address], keys=master.keys) as session:
        for code, kind in codes.items():
            with pytest.raises(StokerError, match=f"^no: {code}$") as raised:
                session.call(GetStatus(request=0, id=code))
            assert type(raised.value) is kind


def test_every_master_tried_is_named_with_the_reason(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path / "keys", create=(Role.MASTER, Role.CLIENT))
    addresses = [f"127.0.0.1:{free_port()}", "no-such-host.invalid:7077"]
    started = time.monotonic()
    with Session(addresses, keys=keys, timeout=0.7) as session, pytest.raises(Unreachable) as raised:
        kill(session)
    assert 0.6 < time.monotonic() - started < 5
    for address in addresses:
        assert address in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_key_that_is_not_admitted_fails_at_once(start: Start, tmp_path: Path) -> None:
    master = start(accept)
    stranger = Keys.open(tmp_path / "other", create=(Role.CLIENT,))
    shutil.copy(master.keys.known_masters, stranger.known_masters)
    started = time.monotonic()
    with Session([master.address], keys=stranger) as session, pytest.raises(NotAuthorized) as raised:
        kill(session)
    assert time.monotonic() - started < 5
    assert str(tmp_path / "other") in str(raised.value)
    assert "authorized" in str(raised.value)


def test_without_a_key_there_is_nothing_to_wait_for(start: Start, tmp_path: Path) -> None:
    master = start(accept)
    empty = Keys.open(tmp_path / "empty", create=(Role.WORKER,))
    shutil.copy(master.keys.known_masters, empty.known_masters)
    with Session([master.address], keys=empty) as session, pytest.raises(NotAuthorized, match=r"client\.key"):
        kill(session)


def test_bytes_that_are_no_message_are_skipped(start: Start) -> None:
    def script(master: ScriptedMaster, peer: bytes, message: Message) -> None:
        master.send_raw(peer, b"\x01", b"\xc1 not MessagePack")
        accept(master, peer, message)

    master = start(script)
    with Session([master.address], keys=master.keys) as session:
        assert kill(session) == master.address


def test_a_master_of_another_version_is_said_to_be_so(start: Start) -> None:
    master = start(lambda master, peer, message: master.send_raw(peer, b"\x63", b"\x80"))
    with (
        Session([master.address], keys=master.keys, timeout=0.3) as session,
        pytest.raises(StokerError, match="upgrade"),
    ):
        kill(session)


def test_the_user_is_told_while_we_look_and_when_we_found(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "SAY_AFTER", 0.1)
    port = free_port()
    said: list[str] = []

    def notice(line: str) -> None:
        said.append(line)
        if len(said) == 1:
            start(accept, port)

    keys = start(silent).keys
    with Session([f"127.0.0.1:{port}"], keys=keys, notice=notice) as session:
        kill(session)
    assert len(said) == 2
    assert f"127.0.0.1:{port}" in said[0]
    assert "giving up in 20 s" in said[0]
    assert said[1] == f"connected to master 127.0.0.1:{port}"
