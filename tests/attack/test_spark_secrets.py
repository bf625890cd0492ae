"""Spark clients with secrets of their own: who proves one name cannot act as another, and a revoked one not at all."""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stoker.core.model import records, values
from stoker.core.model.messages import GetStatus, LaunchDriver, LaunchExecutor, RegisterApplication, WorkerHeartbeat
from stoker.core.model.principal import GATEWAY
from stoker.core.model.states import Role
from stoker.core.model.values import ApplicationDescription, SparkProgram
from stoker.core.worker.jobs import ExecutorJob
from stoker.gateway import requests
from stoker.gateway.crypto import AuthMessage
from stoker.gateway.guard import Caller, Guard
from stoker.gateway.primitives import Method
from stoker.gateway.sasl import AuthError
from stoker.gateway.server import GatedServer
from stoker.gateway.spark_rpc import FrameReader, Kind, frame
from stoker.gateway.terms import Terms
from stoker.io import transport
from stoker.io.sockets import Incoming, PeerGone
from stoker.security.spark_secrets import SparkSecrets
from stoker.wire import codec
from stoker.worker.jobs.launch import Launcher
from tests.support.core import driver as plain_driver
from tests.support.net import Net
from tests.support.spark import FOLDER
from tests.unit.gateway.test_session import Client

COMMON, ADA, BOB = "c" * 32, "a" * 32, "b" * 32
REGISTRATION = (FOLDER / "register-4.3.bin").read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "gateway", f"ada etl {ADA}", f"bob {BOB}")


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return path


@pytest.fixture
def net(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    monkeypatch.setattr(transport, "mark_connections", lambda sock: None)  # its peers come in by the door
    terms = Terms(COMMON, named=SparkSecrets(path, COMMON))
    net = Net(tmp_path, make=functools.partial(GatedServer, terms=terms))  # type: ignore[arg-type]
    yield net
    net.close()


class SparkClient:
    """A client that has proved a secret, encrypted."""

    def __init__(self, net: Net, secret: str) -> None:
        self._caller = Caller(secret, "crypto2", lambda: "nonce")
        self._socket = socket.create_connection(("127.0.0.1", net.server.port), timeout=20)
        self._socket.sendall(frame(Kind.RPC_REQUEST, self._caller.first(), request=1))
        (answer,) = FrameReader().feed(self._socket.recv(65536))
        self.refusal = b"" if answer.kind is Kind.RPC_RESPONSE else answer.body
        if not self.refusal:
            assert self._caller.received(answer.body) is None

    def send(self, data: bytes) -> None:
        assert self._caller.stream is not None
        self._socket.sendall(self._caller.stream.encrypt(data))

    def wait_closed(self, within: float) -> None:
        self._socket.settimeout(within)
        try:
            while self._socket.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def __enter__(self) -> SparkClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def registered(net: Net) -> list[Any]:
    return [event for event in net.of(Incoming) if isinstance(event.message, RegisterApplication)]


@pytest.mark.parametrize("method", ["sasl", "crypto1", "crypto2", "gcm2"])
@pytest.mark.parametrize(("secret", "name"), [(COMMON, GATEWAY), (ADA, "ada"), (BOB, "bob"), ("d" * 32, "")])
def test_the_secret_says_who_it_is(path: Path, method: Method, secret: str, name: str) -> None:
    guard, caller = Guard(Terms(COMMON, named=SparkSecrets(path)), lambda: "n"), Caller(secret, method, lambda: "c")
    body: bytes | None = caller.first()
    try:
        while body is not None and not guard.is_done:
            body = caller.received(guard.received(body))
    except AuthError as error:
        assert not name and str(error) == "wrong spark.authenticate.secret"
    assert (guard.proved.name if guard.proved is not None else "") == name


def test_its_principal_and_pool_are_those_of_its_secret(net: Net) -> None:
    with SparkClient(net, ADA) as ada, SparkClient(net, BOB) as bob, SparkClient(net, COMMON) as other:
        for client in (ada, bob, other):
            client.send(REGISTRATION)
        net.until(lambda: len(registered(net)) == 3)
    assert {(event.principal, event.pool) for event in registered(net)} == {("ada", "etl"), ("bob", ""), (GATEWAY, "")}
    with SparkClient(net, "d" * 32) as stranger:
        assert b"wrong spark.authenticate.secret" in stranger.refusal


def test_without_any_name_nobody_is_let_in(tmp_path: Path) -> None:
    """A file that admits nobody must not open the gateway to everybody."""
    terms = Terms(named=SparkSecrets(write(tmp_path / "none", "# nobody")))
    assert terms.asks_for_secret and terms.known == ()
    for method in ("sasl", "crypto2"):
        guard, caller = Guard(terms, lambda: "n"), Caller("", method, lambda: "c")
        with pytest.raises(AuthError):
            answer = caller.received(guard.received(caller.first()))
            assert answer is not None
            guard.received(answer)


def test_a_revoked_name_is_refused_within_a_second_also_on_open_connections(net: Net, path: Path) -> None:
    with SparkClient(net, ADA) as ada, SparkClient(net, BOB) as bob:
        for client in (ada, bob):
            client.send(REGISTRATION)
        net.until(lambda: len(registered(net)) == 2)
        of_ada = next(event.peer for event in registered(net) if event.principal == "ada")
        write(path, f"bob {BOB}")
        began = time.monotonic()
        net.until(lambda: of_ada in net.names(PeerGone), within=1.0, what="ada is turned out")
        ada.wait_closed(1.0)
        assert time.monotonic() - began < 1.0
        with SparkClient(net, ADA) as again:
            assert b"wrong spark.authenticate.secret" in again.refusal
        bob.send(REGISTRATION)
        net.until(lambda: len(registered(net)) == 3, what="bob is still served")


def test_a_changed_secret_ends_what_was_proved_with_the_old_one(net: Net, path: Path) -> None:
    with SparkClient(net, ADA) as ada:
        ada.send(REGISTRATION)
        net.until(lambda: registered(net))
        write(path, f"ada etl {'e' * 32}", f"bob {BOB}")
        net.until(lambda: net.of(PeerGone), within=1.0, what="the old one is turned out")
    with SparkClient(net, "e" * 32) as ada:
        assert not ada.refusal


def test_what_a_revoked_client_sent_before_is_not_read(net: Net, path: Path) -> None:
    server: Any = net.server
    with SparkClient(net, ADA) as ada:
        net.draining = False
        ada.send(REGISTRATION)
        net.until(lambda: server._events, what="it waits to be read")
        write(path, f"bob {BOB}")
        server._terms.named.look_by = 0.0
        net.draining = True
        net.until(lambda: net.of(PeerGone), what="ada is turned out")
    assert not registered(net)


# --- the secret on its way to the executors ---------------------------------------------------------------------------


def spark_application() -> ApplicationDescription:
    return Client().register().app


def launch_of(principal: str | None, app: ApplicationDescription) -> LaunchExecutor:
    return LaunchExecutor(
        epoch=1, app_id="app-20260101000000-0000", executor_id=0, cores=1, memory_mib=512, app=app, principal=principal
    )


@pytest.mark.parametrize(
    ("principal", "secret"), [("ada", ADA), ("bob", BOB), (GATEWAY, ""), ("", ""), (None, ""), ("carol", "")]
)
def test_an_executor_gets_the_secret_of_its_application_only(net: Net, principal: str | None, secret: str) -> None:
    worker = net.opened(Role.WORKER, "w1", decoder=codec.to_worker)
    worker.ask(WorkerHeartbeat(worker_id="w1"))
    net.until(lambda: net.of(Incoming, worker.peer))
    plain = msgspec.structs.replace(spark_application(), spark=None)
    for app in (spark_application(), plain):
        assert net.server.send(worker.peer, launch_of(principal, app))
    got: Callable[[], list[Any]] = lambda: [m for m in worker.heard if isinstance(m, LaunchExecutor)]  # noqa: E731
    net.until(lambda: len(got()) == 2)
    assert [message.secret for message in got()] == [secret, ""]


def test_records_and_reports_have_no_secret() -> None:
    """What a worker keeps and reports of a job is in ``DriverReport`` and ``ExecutorReport``, the master's in records."""
    kinds = (
        values.DriverReport,
        values.ExecutorReport,
        records.AppRecord,
        records.DriverRecord,
        records.ExecutorRecord,
    )
    assert not [kind for kind in kinds if "secret" in kind.__struct_fields__]
    assert "secret" in LaunchDriver.__struct_fields__


# --- a master that calls drivers ---------------------------------------------------------------------------------------


def test_a_driver_that_claims_anothers_address_does_not_get_its_application(net: Net) -> None:
    """Ada registers with a standby under the address of bob's driver. When it leads, it must ask bob's own."""
    with socket.create_server(("127.0.0.1", 0)) as of_bob, SparkClient(net, ADA) as ada:
        ada.send(REGISTRATION)
        net.until(lambda: registered(net))
        claimed = registered(net)[0].message.app
        assert claimed.spark is not None
        app = msgspec.structs.replace(claimed, spark=msgspec.structs.replace(claimed.spark, auth="crypto2"))
        calls: list[str] = []
        gateway = net.server._gateway  # type: ignore[attr-defined]
        for session in [one.session for one in gateway._connections.values()]:
            session.invite = lambda *_: calls.append("ada")
        net.server.call_back_application("app-1", app, "http://ui", within=0.1, principal="bob")
        net.settle()
        net.settle()
        assert not calls
        net.server.call_back_application("app-1", app, "http://ui", within=0.1, principal="ada")
        net.until(lambda: calls == ["ada"])
        # On its own connection bob's driver must know bob's secret.
        port = of_bob.getsockname()[1]
        called = msgspec.structs.replace(
            app, spark=msgspec.structs.replace(app.spark, driver_host="127.0.0.1", driver_port=port)
        )
        net.server.call_back_application("app-2", called, "http://ui", within=20, principal="bob")
        of_bob.settimeout(20)
        connection, _ = of_bob.accept()
        with connection:
            connection.settimeout(20)
            (first,) = FrameReader().feed(connection.recv(65536))
        challenge = AuthMessage.decode(first.body)
        with pytest.raises(AuthError):
            Guard(Terms(ADA), lambda: "n").received(challenge.encode())
        assert Guard(Terms(BOB), lambda: "n").received(challenge.encode())


def test_a_stoker_client_has_nothing_to_do_with_it(net: Net) -> None:
    client = net.opened()
    client.ask(GetStatus(request=1))
    net.until(lambda: net.of(Incoming, client.peer))
    assert net.of(Incoming, client.peer)[0].pool == ""


def test_a_driver_with_a_secret_of_its_own_is_recorded_without_it() -> None:
    spark = SparkProgram(
        release="4.3", java_options=(f"-Dspark.authenticate.secret={ADA}", "-Dspark.authenticate=true")
    )
    driver = requests.without_secret(msgspec.structs.replace(plain_driver(), spark=spark))
    assert driver.spark is not None and driver.spark.java_options == ("-Dspark.authenticate=true",)


@pytest.mark.parametrize(
    ("principal", "came", "given"),
    [("ada", ADA, ADA), ("ada", "", ""), (GATEWAY, "", COMMON), ("", "", COMMON), (None, "", COMMON)],
)
def test_a_worker_gives_its_own_secret_to_jobs_without_a_name_only(
    principal: str | None, came: str, given: str
) -> None:
    message = msgspec.structs.replace(launch_of(principal, spark_application()), secret=came)
    job = ExecutorJob.ordered(message, 0.0)
    assert COMMON not in repr(job) and ADA not in repr(job)
    launcher = Launcher.__new__(Launcher)
    launcher._config = SimpleNamespace(spark_secret=COMMON)  # type: ignore[assignment]
    assert launcher._secret_of(job) == given
