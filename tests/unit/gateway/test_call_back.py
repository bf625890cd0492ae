"""A master calls the driver of a recovered application back."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgspec
import pytest

from stoker.core.model import messages as m
from stoker.gateway import java_stream as js
from stoker.gateway.java_writer import ClassSpec, New, write
from stoker.gateway.releases import recognise
from stoker.gateway.server import GatedServer
from stoker.gateway.spark_rpc import (
    Address,
    Envelope,
    Frame,
    FrameReader,
    Kind,
    frame,
    open_envelope,
    seal_envelope,
)
from stoker.gateway.terms import Terms
from stoker.io.loop import Loop
from stoker.io.server import Incoming
from tests.support.net import has_ipv6
from tests.support.spark import registration
from tests.support.wait import wait_until
from tests.unit.gateway.test_session import PACKAGE, Client


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_the_driver_is_called_at_its_ipv6_address_and_gets_the_masters() -> None:
    """Spark writes such an address in brackets, and joins host and port without looking."""
    app = Client().register().app
    assert app.spark is not None
    loop = Loop()
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as driver:
        spark = msgspec.structs.replace(app.spark, driver_host="[::1]", driver_port=driver.getsockname()[1])
        server = GatedServer(loop, host="::1", port=0, keys=None, authorizer=None)
        try:
            called = msgspec.structs.replace(app, spark=spark)
            server.call_back_application("app-1", called, "http://ui", within=20)
            driver.settimeout(20)
            connection, _ = driver.accept()
            with connection:
                frame = received(connection)
        finally:
            server.close()
            loop.close()
    assert frame.kind is Kind.ONE_WAY
    envelope = open_envelope(frame.body)
    message = js.parse(envelope.payload)
    assert isinstance(message, js.JavaObject) and message.name == PACKAGE + "MasterChanged"
    assert envelope.sender == Address("[::1]", server.port)
    address = message.fields["master"].fields["endpointAddress"].fields["rpcAddress"]  # type: ignore[union-attr, call-overload]
    assert address.fields == {"host": "[::1]", "port": server.port}  # type: ignore[union-attr]


def test_a_driver_that_is_slow_to_accept_is_this_users_nevertheless() -> None:
    """The kernel reports no owner of a connection that its program has not accepted yet."""
    app = Client().register().app
    assert app.spark is not None
    loop = Loop()
    with socket.create_server(("127.0.0.1", 0)) as driver:
        port = driver.getsockname()[1]
        spark = msgspec.structs.replace(app.spark, driver_host="127.0.0.1", driver_port=port)
        server = GatedServer(
            loop, host="127.0.0.1", port=0, keys=None, authorizer=None, terms=Terms(own_user_only=True)
        )
        try:
            called = msgspec.structs.replace(app, spark=spark)
            server.call_back_application("app-1", called, "http://ui", within=20)
            wait_until(lambda: unread(port), what="MasterChanged at the driver")
            driver.settimeout(20)
            connection, _ = driver.accept()
            with connection:
                received(connection)
                connection.sendall(acknowledgement(server.port))
                messages: list[m.Message] = []

                def on_round() -> float:
                    messages.extend(event.message for event in server.drain() if isinstance(event, Incoming))
                    if messages:
                        loop.stop()
                    assert time.monotonic() < end, "its answer does not count"
                    return 0.05

                end = time.monotonic() + 20
                loop.run(on_round)
        finally:
            server.close()
            loop.close()
    assert isinstance(messages[0], m.RegisterApplication) and messages[0].app_id == "app-1"


def unread(port: int) -> bool:
    """Return whether something has come to a connection with this local port, accepted or not: proc(5), net/tcp."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "01" and not row[4].endswith(":00000000") for row in rows)


def acknowledgement(port: int) -> bytes:
    uid = recognise(registration("4.3")[1]).dialect.messages.get("MasterChangeAcknowledged", 1)
    field = (("Ljava/lang/String;", "appId"),)
    payload = write(New(ClassSpec(PACKAGE + "MasterChangeAcknowledged", uid, field), {"appId": "app-1"}))
    return frame(Kind.ONE_WAY, seal_envelope(Envelope(None, Address("127.0.0.1", port), "Master", payload)))


def received(connection: socket.socket) -> Frame:
    connection.settimeout(20)
    reader = FrameReader()
    while data := connection.recv(65536):
        for whole in reader.feed(data):
            return whole
    raise AssertionError("the master closed the connection")
