"""A Spark client's connection as a state machine, fed with what real clients sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stoker.core.model import messages as m
from stoker.core.model.states import ApplicationState, ExecutorState
from stoker.core.model.values import NO_SHUFFLE_SERVICE, UNLIMITED, Exit
from stoker.gateway import java_stream as js
from stoker.gateway import scala
from stoker.gateway.java_writer import ClassSpec, New, write
from stoker.gateway.releases import RELEASES, UnknownRelease, by_name, recognise
from stoker.gateway.session import PeerSession, Returning
from stoker.gateway.spark_rpc import Address, Envelope, Frame, FrameReader, Kind, RpcError, open_envelope, seal_envelope
from tests.support.spark import VERSIONS, recorded, registration

PACKAGE = "org.apache.spark.deploy.DeployMessages$"
US = Address("127.0.0.1", 17991)


class Client:
    """A session, and what came out of it."""

    def __init__(self, version: str = "4.3") -> None:
        self.version = version
        self.posted: list[Any] = []
        self.logged: list[str] = []
        self.closed = False
        self._reader = FrameReader()
        self._sent: list[Frame] = []
        self.session = PeerSession(
            token="t",
            master=Address("m", 1),
            send=lambda data: self._sent.extend(self._reader.feed(data)),
            post=self.posted.append,
            log=lambda kind, text: self.logged.append(text),
            close=self._close,
        )

    def _close(self) -> None:
        self.closed = True

    def register(self) -> Any:
        for frame in recorded(self.version):
            self.session.received(frame)
        return self.take()

    def say(
        self, name: str, fields: tuple[tuple[str, str], ...], values: dict[str, Any], request: int | None = None
    ) -> None:
        release = recognise(registration(self.version)[1])
        uid = release.dialect.messages.get(name, 1)
        payload = write(New(ClassSpec(PACKAGE + name, uid, fields), values))
        body = seal_envelope(Envelope(None, US, "Master", payload))
        kind = Kind.ONE_WAY if request is None else Kind.RPC_REQUEST
        self.session.received(Frame(kind, request or 0, body))

    def take(self) -> Any:
        assert len(self.posted) == 1, self.posted
        return self.posted.pop()

    def frame(self) -> Frame:
        assert len(self._sent) == 1, self._sent
        return self._sent.pop()

    def told(self) -> js.JavaObject:
        """The one message to the application's endpoint."""
        frame = self.frame()
        assert frame.kind is Kind.ONE_WAY
        envelope = open_envelope(frame.body)
        assert envelope.endpoint == "AppClient"
        message = js.parse(envelope.payload)
        assert isinstance(message, js.JavaObject)
        return message

    def nothing_said(self) -> bool:
        return not self._sent


@pytest.mark.parametrize("version", VERSIONS)
def test_a_registration_becomes_an_application(version: str) -> None:
    client = Client(version)
    message = client.register()
    assert isinstance(message, m.RegisterApplication)
    app = message.app
    assert (app.name, app.max_cores, app.cores_per_executor, app.memory_mib) == ("pyspark-shell", 3, 2, 512)
    assert (app.executor_limit, app.ui_url) == (UNLIMITED, "http://127.0.0.1:4040")
    assert app.command.argv[0] == "org.apache.spark.executor.CoarseGrainedExecutorBackend"
    assert "--worker-url" not in app.command.argv and "{{WORKER_URL}}" not in app.command.argv
    assert app.spark is not None
    assert version in app.spark.release.split("|")
    assert app.spark.driver_host == "127.0.0.1" and app.spark.driver_port > 0
    assert f"-Dspark.driver.port={app.spark.driver_port}" in app.spark.java_options
    verified = client.frame()
    assert (verified.kind, verified.request) == (Kind.RPC_RESPONSE, recorded(version)[0].request)
    assert scala.unboxed(js.parse(verified.body)) is True


@pytest.mark.parametrize("version", VERSIONS)
def test_the_masters_words_reach_the_application(version: str) -> None:
    client = Client(version)
    request = client.register().request
    client.frame()
    client.session.deliver(m.RegisteredApplication(request=request, app_id="app-1", master_url="", epoch=1))
    told = client.told()
    assert told.name == PACKAGE + "RegisteredApplication" and told.fields["appId"] == "app-1"
    address = told.fields["master"].fields["endpointAddress"].fields["rpcAddress"]  # type: ignore[union-attr, call-overload]
    assert (address.fields["host"], address.fields["port"]) == ("127.0.0.1", 17991)  # type: ignore[union-attr, call-overload]
    added = m.ExecutorAdded(app_id="app-1", executor_id=4, worker_id="worker-1-h-5", host="h", cores=2, memory_mib=512)
    client.session.deliver(added)
    assert client.told().fields == {"cores": 2, "id": 4, "memory": 512, "hostPort": "h:5", "workerId": "worker-1-h-5"}
    lost = m.ExecutorUpdated(
        app_id="app-1", executor_id=4, state=ExecutorState.LOST, exit=Exit(reason="why"), worker_lost=True
    )
    client.session.deliver(lost)
    fields = client.told().fields
    assert [scala.option(fields[name]) for name in ("message", "exitStatus", "workerHost")] == ["why", None, "h"]
    client.session.deliver(m.ApplicationRemoved(app_id="app-1", state=ApplicationState.KILLED, reason="killed"))
    assert client.told().fields == {"message": "killed"} and client.closed


@pytest.mark.parametrize(
    ("options", "version"),
    [
        (["-Djdk.reflect.useDirectMethodHandle=false", "-Da=b"], "4.1"),
        (["--sun-misc-unsafe-memory-access=allow"], "4.2"),
        ([], "4.2|4.1"),
        (["-Djdk.reflect.useDirectMethodHandle=false", "--sun-misc-unsafe-memory-access=allow"], "4.2|4.1"),
    ],
)
def test_releases_with_the_same_messages_are_told_apart_by_their_java_options(options: list[str], version: str) -> None:
    assert by_name("4.1").version_by(options) == version
    assert by_name("4.3").version_by(options) == "4.3"


def test_a_workers_ipv6_address_is_in_brackets() -> None:
    client = Client()
    request = client.register().request
    client.frame()
    client.session.deliver(m.RegisteredApplication(request=request, app_id="app-1", master_url="", epoch=1))
    client.told()
    added = m.ExecutorAdded(
        app_id="app-1", executor_id=4, worker_id="worker-1-::1-5", host="::1", cores=2, memory_mib=5
    )
    client.session.deliver(added)
    assert client.told().fields["hostPort"] == "[::1]:5"


def test_nothing_is_told_to_an_application_that_has_unregistered() -> None:
    client = Client()
    client.register()
    client.frame()
    client.say("UnregisterApplication", (("Ljava/lang/String;", "appId"),), {"appId": "app-1"})
    assert client.take().app_id == "app-1"
    gone = m.ExecutorUpdated(app_id="app-1", executor_id=0, state=ExecutorState.KILLED)
    client.session.deliver(gone)
    assert client.nothing_said()


def test_a_standby_says_nothing() -> None:
    client = Client()
    request = client.register().request
    client.frame()
    client.session.deliver(m.Failed(request=request, reason="not the leader", code="not-leader"))
    assert client.nothing_said() and not client.closed
    client.session.deliver(m.Reconnect(epoch=3))  # now it leads
    assert client.take().request == request


def test_driver_requests_are_answered_on_their_number() -> None:
    client = Client()
    client.say("RequestKillDriver", (("Ljava/lang/String;", "driverId"),), {"driverId": "driver-1"}, request=77)
    kill = client.take()
    assert kill == m.KillJob(request=kill.request, id="driver-1")
    client.session.deliver(m.Failed(request=kill.request, reason="no such driver", code="not-found"))
    answer = client.frame()
    assert (answer.kind, answer.request) == (Kind.RPC_RESPONSE, 77)
    read = js.parse(answer.body)
    assert isinstance(read, js.JavaObject)
    assert (read.fields["success"], read.fields["driverId"], read.fields["message"]) == (
        False,
        "driver-1",
        "no such driver",
    )


def test_an_application_that_was_called_back_registers_under_its_id() -> None:
    app = Client("4.0").register().app
    client = Client("4.0")
    client.session.invite(Returning("app-9", app), "http://ui")
    told = client.told()
    assert told.name == PACKAGE + "MasterChanged" and told.fields["masterWebUiUrl"] == "http://ui"
    field = (("Ljava/lang/String;", "appId"),)
    client.say("MasterChangeAcknowledged", field, {"appId": "app-9"})
    message = client.take()
    assert (message.app_id, message.app) == ("app-9", app)
    client.session.deliver(m.RegisteredApplication(request=message.request, app_id="app-9", master_url="", epoch=2))
    assert client.nothing_said() and client.session.app_id == "app-9"


def test_a_driver_that_registered_with_a_standby_is_asked_to_go_on_where_it_did() -> None:
    client = Client()
    app = client.register().app
    client.frame()
    assert client.session.is_driver_of(app) and not Client().session.is_driver_of(app)
    assert not client.session.is_driver_of(msgspec.structs.replace(app, name="another"))
    client.session.invite(Returning("app-9", app), "")
    assert client.told().name == PACKAGE + "MasterChanged"
    client.session.deliver(m.Reconnect(epoch=3))
    assert not client.posted, "it registers no second application"
    field = (("Ljava/lang/String;", "appId"),)
    client.say("MasterChangeAcknowledged", field, {"appId": None})  # nobody has answered its registration
    message = client.take()
    assert message.app_id == "app-9"
    client.session.deliver(m.RegisteredApplication(request=message.request, app_id="app-9", master_url="", epoch=2))
    assert client.told().fields["appId"] == "app-9"
    client.session.invite(Returning("app-9", app), "")  # again
    assert client.nothing_said()


def test_an_address_that_another_application_has_now() -> None:
    """The recorded application has no driver. Recovery must not wait for it."""
    app = Client().register().app
    client = Client()
    client.session.invite(Returning("app-9", app), "")
    client.told()
    client.say("MasterChangeAcknowledged", (("Ljava/lang/String;", "appId"),), {"appId": "app-8"})
    come, go = client.posted
    assert (come.app_id, go.app_id, go.state) == ("app-9", "app-9", ApplicationState.FAILED)
    assert go.reason == "its driver's address belongs to app-8"
    client.session.deliver(m.RegisteredApplication(request=come.request, app_id="app-9", master_url="", epoch=2))
    client.session.deliver(m.ApplicationRemoved(app_id="app-9", state=ApplicationState.FAILED))
    assert client.nothing_said() and not client.closed and not client.session.app_id


def test_what_is_acknowledged_on_an_older_connection_counts_no_more() -> None:
    app = Client().register().app
    client = Client()
    client.session.invite(Returning("app-9", app), "")
    client.session.supersede("app-9")
    client.say("MasterChangeAcknowledged", (("Ljava/lang/String;", "appId"),), {"appId": "app-9"})
    assert not client.posted and not client.logged


def test_who_was_not_asked_cannot_take_over_an_application() -> None:
    client = Client()
    client.say("MasterChangeAcknowledged", (("Ljava/lang/String;", "appId"),), {"appId": "app-9"})
    assert not client.posted and "was not asked" in client.logged[0]


def test_a_release_nobody_listed_is_named_and_told_so() -> None:
    client = Client()
    verify, register = recorded("4.3")
    uid = RELEASES[-1].dialect.messages["RegisterApplication"].to_bytes(8, "big", signed=True)
    client.session.received(Frame(register.kind, 0, register.body.replace(uid, bytes(8))))
    assert not client.posted and "RegisterApplication 0" in client.logged[0]
    client.session.received(verify)
    answer = client.frame()
    assert answer.kind is Kind.RPC_FAILURE and b"supports Spark 3.5, 4.0, 4.1, 4.2, 4.3" in answer.body


def test_what_is_malformed_costs_the_connection_only() -> None:
    client = Client()
    register = recorded("4.3")[1]
    with pytest.raises(RpcError):
        client.session.received(Frame(register.kind, 0, register.body[:-3]))
    with pytest.raises(RpcError):
        client.session.received(Frame(register.kind, 0, b"\x01"))
    text = seal_envelope(Envelope(None, US, "Master", write("hello")))
    with pytest.raises(RpcError):
        client.session.received(Frame(Kind.ONE_WAY, 0, text))
    assert not client.posted


@pytest.mark.parametrize("name", ["RequestExecutors", "KillExecutors", "RegisterApplication", "Nonsense"])
def test_messages_without_what_they_need_are_refused(name: str) -> None:
    client = Client()
    client.say(name, (("Ljava/lang/String;", "appId"),), {"appId": "app-1"}, request=5)
    assert client.frame().kind is Kind.RPC_FAILURE and not client.posted and len(client.logged) == 1


def test_impossible_demands_are_refused_in_the_drivers_log() -> None:
    client = Client()
    register = recorded("4.3")[1]
    body = register.body.replace((512).to_bytes(8, "big"), (-1).to_bytes(8, "big", signed=True))
    client.session.received(Frame(register.kind, 0, body))
    assert "memory_mib" in str(client.told().fields["message"]) and client.closed and not client.posted


def test_an_application_that_could_not_go_on_is_ended_with_the_reason() -> None:
    client = Client()
    request = client.register().request
    client.frame()
    client.session.deliver(m.RegisteredApplication(request=request, app_id="app-1", master_url="", epoch=1))
    client.told()
    failed = m.ExecutorUpdated(
        app_id="app-1", executor_id=0, state=ExecutorState.FAILED, exit=Exit(code=1, reason=NO_SHUFFLE_SERVICE)
    )
    client.session.deliver(failed)
    end = client.take()
    assert (end.app_id, end.state, end.reason) == ("app-1", ApplicationState.FAILED, NO_SHUFFLE_SERVICE)
    assert client.closed


def test_a_record_of_an_unknown_release_is_refused() -> None:
    app = Client().register().app
    old = msgspec.structs.replace(app, spark=msgspec.structs.replace(app.spark, release="2.4"))
    with pytest.raises(UnknownRelease):
        Client().session.invite(Returning("app-1", old), "")
    assert [by_name(release.name) for release in RELEASES] == list(RELEASES)
    assert all(by_name(version) is release for release in RELEASES for version in release.versions)


def test_an_application_gives_its_time_limit_by_its_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"STOKER_TIME_LIMIT": "90min"}
    monkeypatch.setattr("stoker.gateway.requests.scala.text_map", lambda _: dict(environment))
    assert Client().register().app.time_limit == 5400.0
    environment["STOKER_TIME_LIMIT"] = "soon"
    client = Client()
    for frame in recorded(client.version)[1:]:
        client.session.received(frame)
    assert "STOKER_TIME_LIMIT: 'soon' is not a duration" in str(client.told().fields["message"])
    assert client.closed and not client.posted


def test_an_application_gives_its_disk_limit_by_its_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"STOKER_MAX_DISK": "20g"}
    monkeypatch.setattr("stoker.gateway.requests.scala.text_map", lambda _: dict(environment))
    assert Client().register().app.max_disk_mib == 20480
    environment["STOKER_MAX_DISK"] = "much"
    client = Client()
    for frame in recorded(client.version)[1:]:
        client.session.received(frame)
    assert "STOKER_MAX_DISK: 'much' is not a size" in str(client.told().fields["message"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", ["Submit", "Kill"])
def test_sparks_old_client_receives_an_answer_that_ends_it(version: str, what: str) -> None:
    """It waits indefinitely after a failure, which it only logs."""
    client = Client(version)
    client.session.bar("none is let in")
    fields = (("Ljava/lang/String;", "driverId"),)
    client.say(f"Request{what}Driver", fields, {"driverId": "driver-1"}, request=5)
    frame = client.frame()
    assert (frame.kind, frame.request) == (Kind.RPC_RESPONSE, 5)
    told = js.parse(frame.body)
    assert isinstance(told, js.JavaObject)
    assert told.name == f"{PACKAGE}{what}DriverResponse"
    assert (told.fields["success"], told.fields["message"]) == (False, "none is let in")


def test_a_submission_that_cannot_be_read_is_answered_as_well() -> None:
    client = Client()
    client.say("RequestSubmitDriver", (), {}, request=5)
    frame = client.frame()
    assert frame.kind is Kind.RPC_RESPONSE
    told = js.parse(frame.body)
    assert isinstance(told, js.JavaObject)
    assert told.fields["success"] in (False, 0) and told.fields["message"]
