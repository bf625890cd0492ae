"""A master on an IPv6 address calls the driver of a recovered application back."""

from __future__ import annotations

import socket

import msgspec
import pytest

from stoker.gateway import java_stream as js
from stoker.gateway.server import GatedServer
from stoker.gateway.spark_rpc import Address, Frame, FrameReader, Kind, open_envelope
from stoker.io.loop import Loop
from tests.support.net import has_ipv6
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


def received(connection: socket.socket) -> Frame:
    connection.settimeout(20)
    reader = FrameReader()
    while data := connection.recv(65536):
        for frame in reader.feed(data):
            return frame
    raise AssertionError("the master closed the connection")
