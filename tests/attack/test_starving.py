"""No client starves the others: each test is one attack, with an honest client beside it that must get its answer in time."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from stoker.client.session.session import Session
from stoker.config.limits import Limits
from stoker.core.master.machine import OutputLocation
from stoker.core.model.messages import (
    DriverUpdate,
    Failed,
    GetStatus,
    LogData,
    Message,
    ReadLog,
    RegisterApplication,
    RegisterWorker,
    Status,
    SubmitDriver,
    Submitted,
    UploadChunk,
    UploadStatus,
    WatchDriver,
)
from stoker.core.model.policy import Policy
from stoker.core.model.states import Role
from stoker.core.model.values import ApplicationDescription, Command
from stoker.errors import NotAuthorized, Refused
from stoker.gateway.server import GatedServer
from stoker.io.sockets import Incoming, PeerGone, Server
from stoker.master.blobs import BlobStore
from stoker.master.door import SizeGuard
from stoker.master.relay import LogRelay
from stoker.security.keys import Keys
from stoker.wire import codec
from stoker.worker.jobs.logs import LogReader
from tests.support.cluster import Cluster
from tests.support.core import Bench, driver
from tests.support.net import Net

MIB = 2**20
PROMPT = 5.0  # seconds for an honest client's answer on a busy machine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("starving")) as running:
        yield running


@pytest.fixture
def attacker(cluster: Cluster) -> Iterator[Session]:
    keys = Keys.open(cluster.home / "conf" / "keys", create=None)
    with Session(cluster.url, keys=keys, name="attacker") as session:
        yield session


@pytest.fixture
def honest(cluster: Cluster) -> Iterator[Session]:
    keys = Keys.open(cluster.home / "conf" / "keys", create=None)
    with Session(cluster.url, keys=keys, name="honest") as session:
        yield session


def answered_in_time(honest: Session) -> Status:
    began = time.monotonic()
    answer = honest.call(GetStatus(request=0))
    assert isinstance(answer, Status) and time.monotonic() - began < PROMPT
    return answer


# --- a cluster --------------------------------------------------------------------------------------------------------


@pytest.mark.cluster
def test_names_and_arguments_that_break_status_are_refused_at_the_door(attacker: Session, honest: Session) -> None:
    big = "x" * (15 * MIB)
    many = ("y" * 1000,) * 1000
    descriptions = [driver(name="n" * 2000), driver(args=many), driver(env={"A": "y" * MIB}), driver(user="ü" * 600)]
    for description in descriptions:
        with pytest.raises(Refused, match=r"spark.stoker.limits.(name|description)\): ") as refused:
            attacker.call(SubmitDriver(request=0, token=os.urandom(16).hex(), driver=description))
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 300
    for _ in range(3):
        with pytest.raises((Refused, NotAuthorized), match=r"spark.stoker.limits.message"):
            attacker.call(SubmitDriver(request=0, token=os.urandom(16).hex(), driver=driver(name=big)))
    app = ApplicationDescription(name="n" * 2000, command=Command(argv=("/bin/true",)))
    with pytest.raises(Refused, match="the application's name has 2000 bytes; the limit is 1024"):
        attacker.call(RegisterApplication(request=0, token="t", app=app))
    status = answered_in_time(honest)
    assert status.cluster is not None and (status.cluster.active_drivers, status.cluster.active_apps) == ((), ())


@pytest.mark.cluster
def test_open_uploads_are_limited_and_others_still_upload(cluster: Cluster, attacker: Session) -> None:
    answers: list[Message] = []
    for number in range(150):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        attacker.ask(
            UploadChunk(request=0, sha256=name, size=MIB, offset=0, data=b"x"), lambda m: answers.append(m) or True
        )
    while len(answers) < 150:
        attacker.pump()
    refused = [answer.reason for answer in answers if isinstance(answer, Failed)]
    assert len(refused) == 50 and all("spark.stoker.limits.uploads" in reason for reason in refused)
    assert sum(isinstance(answer, UploadStatus) for answer in answers) == 100
    assert len(list(cluster.state.glob("master-*/blobs/*.part-*"))) == 100


# --- the port ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Server, GatedServer])
def test_who_does_not_read_is_disconnected_before_it_costs_memory(tmp_path: Path, make: type[Server]) -> None:
    """So is who comes in through the door, as a client without marks does."""
    net = Net(tmp_path, make=make, authenticate=False, queue_limit=8 * MIB)
    try:
        honest = net.opened(Role.CLIENT, "honest")
        deaf = net.loop.context.socket(zmq.DEALER)
        net.strangers.append(deaf)
        deaf.set(zmq.ROUTING_ID, b"client/deaf/1")
        deaf.set(zmq.RCVHWM, 1)
        deaf.set(zmq.RCVBUF, 65536)
        deaf.connect(f"tcp://{net.address}")
        deaf.send_multipart(codec.encode(GetStatus(request=1)))
        net.until(lambda: net.of(Incoming, b"client/deaf/1"))
        assert net.server.address_of(b"client/deaf/1") == "127.0.0.1"
        answer = LogData(request=1, data=b"x" * MIB)
        sent = 0
        while net.server.send(b"client/deaf/1", answer):
            sent += 1
            assert sent < 64
        net.until(lambda: net.of(PeerGone, b"client/deaf/1"), what="the deaf client is disconnected")
        assert sent >= 7
        honest.ask(GetStatus(request=1))
        net.until(lambda: net.of(Incoming, honest.peer))
        for number in range(32):  # four times the limit, read as it comes
            assert net.server.send(honest.peer, answer)
            net.until(lambda: len(honest.heard) > number + 1)  # noqa: B023 - it is called before the next round
    finally:
        net.close()


def test_a_message_is_far_smaller_than_a_status(tmp_path: Path) -> None:
    """A frame over the limit ends the connection that sends it, and costs no memory."""
    net = Net(tmp_path, authenticate=False)
    try:
        honest = net.opened(Role.CLIENT, "honest")
        huge = net.loop.context.socket(zmq.DEALER)
        net.strangers.append(huge)
        huge.set(zmq.ROUTING_ID, b"client/huge/1")
        huge.connect(f"tcp://{net.address}")
        huge.send_multipart(codec.encode(GetStatus(request=1)))
        net.until(lambda: net.of(Incoming, b"client/huge/1"))
        huge.send_multipart([codec.HEADER, bytes(codec.MAX_TO_MASTER + 2 * MIB)])
        net.until(lambda: net.of(PeerGone, b"client/huge/1"))
        honest.ask(GetStatus(request=1))
        net.until(lambda: net.of(Incoming, honest.peer))
    finally:
        net.close()


# --- parts ------------------------------------------------------------------------------------------------------------


def test_all_uploads_together_are_limited(tmp_path: Path) -> None:
    answers: list[Any] = []
    limits = Limits(upload_bytes=100)
    store = BlobStore(
        tmp_path, max_bytes=100, reply=lambda _, m: answers.append(m), in_loop=lambda call: call(), limits=limits
    )

    def upload(data: bytes, peer: bytes = b"c1") -> None:
        name = hashlib.sha256(data).hexdigest()
        store.receive(peer, UploadChunk(request=1, sha256=name, size=len(data), offset=0, data=data[:10]))

    upload(b"x" * 60)
    upload(b"y" * 60, b"c2")
    assert isinstance(answers[-1], Failed) and "spark.stoker.limits.uploadBytes" in answers[-1].reason
    store.peer_gone(b"c1")
    upload(b"y" * 60, b"c2")
    assert isinstance(answers[-1], UploadStatus)
    store.close()


def test_waiting_log_questions_of_one_owner_leave_room_for_others() -> None:
    answers: list[tuple[bytes, Any]] = []
    relay = LogRelay(
        lambda *_: OutputLocation(peer=b"w"),
        lambda peer, message: answers.append((peer, message)),
        limits=Limits(log_questions=5, searches=2),
        owner_of=lambda peer: peer[:1],
    )
    for number in range(20):
        question = ReadLog(request=number, id="driver-20260101000000-0000", stream="stdout", find="x" * (number % 2))
        relay.ask_for(b"m1" if number % 3 else b"m2", question)
    passed_on = [message for peer, message in answers if peer == b"w"]
    assert len(passed_on) == 7 and sum(bool(message.find) for message in passed_on) == 2
    assert all("spark.stoker.limits" in message.error for peer, message in answers if peer != b"w")
    answers.clear()
    relay.ask_for(b"honest", ReadLog(request=1, id="driver-20260101000000-0000", stream="stdout", find="x"))
    assert [peer for peer, _ in answers] == [b"w"]
    relay.peer_gone(b"m1")
    relay.peer_gone(b"m2")
    answers.clear()
    relay.ask_for(b"m1", ReadLog(request=1, id="driver-20260101000000-0000", stream="stdout", find="x"))
    assert [peer for peer, _ in answers] == [b"w"]


def test_searches_do_not_hold_up_a_workers_heartbeats(tmp_path: Path) -> None:
    """The loop sends heartbeats between two rounds: no round may take as long as all searches."""
    job = "driver-20260101000000-0000"
    (tmp_path / job).mkdir()
    (tmp_path / job / "stdout").write_bytes(b"some output\n" * (8 * MIB // 12))
    answers: list[LogData] = []
    reader = LogReader(tmp_path, is_over=lambda *_: True, reply=lambda _, answer: answers.append(answer))
    began = time.perf_counter()
    for number in range(200):
        reader.ask("m", ReadLog(request=number, id=job, stream="stdout", limit=4 * MIB, find="never there"), 0.0)
    rounds = [time.perf_counter() - began]
    while len(answers) < 200:
        assert reader.next_deadline() == 0.0
        began = time.perf_counter()
        reader.look(0.0)
        rounds.append(time.perf_counter() - began)
    assert len(rounds) > 5 and max(rounds) < sum(rounds) / 4
    assert [answer.request for answer in answers] == list(range(200))


def test_watches_of_one_connection_are_limited() -> None:
    bench = Bench(policy=Policy(watches=3))
    ids = []
    for number in range(5):
        bench.send("c1", SubmitDriver(request=number, token=f"t{number}", driver=driver()))
        ids.append(bench.take("c1", Submitted).driver_id)
    for _ in range(15):
        bench.send("c2", WatchDriver(request=1, driver_id=ids[0]))
    for driver_id in ids[1:]:
        bench.send("c2", WatchDriver(request=2, driver_id=driver_id))
    received = bench.inbox.pop("c2")
    assert sum(isinstance(message, DriverUpdate) for message in received) == 10 + 2
    assert all("spark.stoker.limits.watches" in m.reason for m in received if isinstance(m, Failed))
    bench.send("c3", WatchDriver(request=1, driver_id=ids[0]))
    assert bench.take("c3", DriverUpdate)


def test_a_worker_is_not_known_by_a_name_of_megabytes() -> None:
    register = RegisterWorker(worker_id="w", boot="b", host="h" * 15 * MIB, port=1, cores=1, memory_mib=1)
    assert "spark.stoker.limits.name" in SizeGuard(Limits()).reason_against(register)
