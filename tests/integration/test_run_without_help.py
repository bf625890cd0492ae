"""``stoker run`` with masters that do not help: none, silent, confused, hostile."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from stoker.core.model.messages import (
    Accepted,
    Failed,
    LogData,
    Message,
    ReadLog,
    RegisterApplication,
    Status,
)
from stoker.core.model.states import Role
from stoker.core.model.values import Exit
from stoker.security.keys import Keys
from tests.support.scripted_master import (
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
from tests.support.scripted_run import stoker_run, story

OTHER = "app-20260101000000-0666"


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
