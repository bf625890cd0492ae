"""A key removed from ``authorized`` and a revoked token are refused within a second, also on open connections. Nothing
more is sent there: launch commands to a revoked worker would carry the environments of jobs."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.core.model.messages import GetStatus, LaunchDriver, WorkerHeartbeat
from stoker.core.model.states import Role
from stoker.gateway.server import GatedServer
from stoker.io import transport
from stoker.io.sockets import Incoming, PeerGone, Server
from stoker.wire import codec
from tests.support.cluster import Cluster
from tests.support.core import driver
from tests.support.net import LinkedPeer, Net
from tests.support.wait import wait_until

LAUNCH = LaunchDriver(epoch=1, driver_id="driver-20260101000000-0000", attempt=1, driver=driver(env={"PASSWORD": "x"}))


@pytest.fixture(params=[Server, GatedServer])
def net(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    if request.param is GatedServer:
        monkeypatch.setattr(transport, "mark_connections", lambda sock: None)  # its peers come in by the door
    net = Net(tmp_path, make=request.param)
    yield net
    net.close()


def revoke(net: Net, role: Role) -> None:
    assert net.keys is not None
    path = net.keys.authorized
    path.write_text(
        "".join(line for line in path.read_text().splitlines(True) if not line.startswith(f"{role.value} "))
    )


def heard_worker(net: Net, name: str) -> LinkedPeer:
    worker = net.opened(Role.WORKER, name, decoder=codec.to_worker)
    worker.ask(WorkerHeartbeat(worker_id=name))
    net.until(lambda: net.of(Incoming, worker.peer))
    return worker


@pytest.mark.parametrize("in_flight", [0, 1000])
def test_nothing_is_sent_to_a_revoked_worker(net: Net, in_flight: int) -> None:
    """The peer gets neither what the master sends later, nor what was sent and it has not read yet."""
    worker, other = heard_worker(net, "w1"), net.opened(Role.CLIENT)
    other.ask(GetStatus(request=1))
    net.until(lambda: net.of(Incoming, other.peer))
    revoke(net, Role.WORKER)
    began = time.monotonic()
    for _ in range(in_flight):
        net.server.send(worker.peer, LAUNCH)
    net.until(lambda: net.of(PeerGone, worker.peer), within=1.0, what="the revoked worker is gone")
    assert time.monotonic() - began < 1
    assert not net.server.send(worker.peer, LAUNCH)
    net.until(lambda: worker.closed is not None, what="its connection is closed")
    assert sum(isinstance(item, LaunchDriver) for item in worker.heard) <= in_flight
    assert net.server.send(other.peer, LAUNCH), "others keep their connections"
    assert other.closed is None


def test_what_a_revoked_key_sends_is_not_read(net: Net) -> None:
    worker = heard_worker(net, "w1")
    net.draining = False
    revoke(net, Role.WORKER)
    for _ in range(100):
        worker.ask(WorkerHeartbeat(worker_id="w1"))
    net.until(lambda: net.authorizer is not None and time.monotonic() > net.authorizer.look_by)
    net.draining = True
    before = len(net.of(Incoming, worker.peer))
    net.until(lambda: net.of(PeerGone, worker.peer))
    assert len(net.of(Incoming, worker.peer)) == before
    net.settle()
    assert len(net.of(Incoming, worker.peer)) == before


def test_a_key_that_changes_its_role_connects_again(net: Net) -> None:
    assert net.keys is not None
    admin = net.opened(Role.ADMIN)
    admin.ask(GetStatus(request=1))
    net.until(lambda: net.of(Incoming, admin.peer))
    path = net.keys.authorized
    path.write_text(path.read_text().replace("admin ", "client "))
    net.until(lambda: net.of(PeerGone, admin.peer), within=1.0)


def test_a_connection_that_took_the_descriptor_is_not_closed(net: Net) -> None:
    worker = heard_worker(net, "w1")
    at = net.server._socket_of[worker.peer]
    type(at)(at.fd, at.serial, at.inode + 1).shut_down()
    type(at)(10**6, at.serial, at.inode).shut_down()
    worker.ask(WorkerHeartbeat(worker_id="w1"))
    net.until(lambda: len(net.of(Incoming, worker.peer)) == 2)


# --- a cluster --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("revoked")) as running:
        yield running


def request(cluster: Cluster, path: str, token: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.webui_port, timeout=20)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    return connection.getresponse()


@pytest.mark.cluster
def test_a_revoked_token_is_refused_and_its_stream_ends(cluster: Cluster) -> None:
    token = cluster.cli("token", "create", "--name", "ada", "--role", "viewer").stdout.strip()
    wait_until(lambda: request(cluster, "/json/", token).status == 200, what="the token is known")
    stream = request(cluster, "/api/v1/events", token)
    assert stream.status == 200 and b"reset" in b"".join(stream.readline() for _ in range(4))
    assert cluster.cli("token", "revoke", "ada").returncode == 0
    wait_until(lambda: request(cluster, "/json/", token).status == 401, within=1.0, what="refused")
    before = time.monotonic()
    with pytest.raises(http.client.IncompleteRead) as cut:  # the connection is closed
        stream.read()
    assert time.monotonic() - before < 10 and cut.value.partial == b""


@pytest.mark.cluster
def test_a_revoked_worker_gets_no_job(cluster: Cluster) -> None:
    """Until its key is back."""
    keys = Path(cluster.environ["SPARK_CONF_DIR"]) / "keys" / "authorized"
    lines = keys.read_text().splitlines(True)
    keys.write_text("".join(line for line in lines if not line.startswith("worker ")))
    wait_until(lambda: "its key is no longer admitted" in cluster.master.text(), within=3.0, what="disconnected")
    job = cluster.submit("/bin/true")
    state = json.loads(cluster.cli("status", "--json").stdout)
    assert [worker["state"] for worker in state["workers"]] == ["DEAD"]
    assert cluster.status(job)["state"] == "SUBMITTED"
    assert job not in cluster.worker[0].text()
    keys.write_text("".join(lines))
    cluster.wait_for(job, "FINISHED")
