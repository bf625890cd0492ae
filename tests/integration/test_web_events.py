"""The event stream on real sockets: changes, missed events, and slow readers that delay nobody."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stoker.core.model.states import DriverState, WorkerState
from stoker.core.model.values import Order
from stoker.core.model.views import ClusterView
from stoker.security.roles import AccessRole
from stoker.security.tokens import TokenFile
from stoker.web.access.policy import Access
from stoker.web.api import events as events_module
from stoker.web.api.events import differences
from stoker.web.master import make_app
from stoker.web.serve import LazyWebServer
from tests.support.wait import wait_until
from tests.support.web import Control, app_view, cluster_view, driver_view, worker_view

WITHIN = 20.0  # seconds


class Site:
    """A dashboard whose cluster the test changes."""

    def __init__(self, access: Access | None = None) -> None:
        self.cluster = cluster_view()
        self.looks = 0
        self.server = LazyWebServer("127.0.0.1", 0, lambda: make_app(self.view, Control(), access=access))
        self.server.start()

    def view(self) -> ClusterView:
        self.looks += 1
        return self.cluster


class Listener:
    def __init__(self, site: Site, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", site.server.port, timeout=WITHIN)
        self.connection.request("GET", "/api/v1/events", headers=headers)
        self.response = self.connection.getresponse()

    def event(self) -> tuple[str, str, Any]:
        """Return (kind, id, data) of the next event."""
        fields: dict[str, str] = {}
        while True:
            line = self.response.readline()
            assert line, "the stream has ended"
            if line == b"\n" and "event" in fields:
                return fields["event"], fields["id"], json.loads(fields["data"])
            name, _, value = line.decode().strip().partition(": ")
            fields[name] = value

    def close(self) -> None:
        self.response.close()
        self.connection.close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(events_module.EventStream.__init__, "__kwdefaults__", {"look_every": 0.02})
    site = Site()
    yield site
    site.server.close()


def test_changes_are_told_to_all(site: Site) -> None:
    listeners = [Listener(site) for _ in range(3)]
    for listener in listeners:
        assert listener.response.headers["Content-Type"].startswith("text/event-stream")
        assert listener.event()[0] == "reset"
    seen = site.looks
    wait_until(lambda: site.looks > seen + 1, within=WITHIN, what="a look at the cluster")
    site.cluster = cluster_view(active_drivers=(driver_view(1, state=DriverState.RELAUNCHING),), active_apps=())
    for listener in listeners:
        found = {(kind, data["id"]): data for kind, _, data in (listener.event() for _ in range(3))}
        assert found["driver", driver_view(1).id]["state"] == "RELAUNCHING"
        removed = found["driver", driver_view(2).id]
        assert removed == {"at": removed["at"], "id": driver_view(2).id, "removed": True}
        assert removed["at"] == pytest.approx(time.time(), abs=60)
        assert found["application", app_view(1).id]["removed"]
        listener.close()


def test_who_comes_back_gets_what_was_missed(site: Site) -> None:
    stays = Listener(site)
    _, start, _ = stays.event()
    seen = site.looks
    wait_until(lambda: site.looks > seen + 1, within=WITHIN, what="a look at the cluster")
    site.cluster = cluster_view(workers=(worker_view(1, cores_used=5), *site.cluster.workers[1:]))
    kind, latest, data = stays.event()
    assert (kind, data["cores_used"]) == ("worker", 5)
    returning = Listener(site, **{"Last-Event-ID": start})
    assert returning.event() == (kind, latest, data)
    for unknown in ("other-1", "x", f"{start}9", "-", ""):
        stranger = Listener(site, **{"Last-Event-ID": unknown})
        assert stranger.event()[0] == "reset"
        stranger.close()
    stays.close()
    returning.close()


def test_streams_hold_no_threads_and_nobody_looks_when_nobody_listens(site: Site) -> None:
    listeners = [Listener(site) for _ in range(40)]
    for listener in listeners:
        assert listener.event()[0] == "reset"
    connection = http.client.HTTPConnection("127.0.0.1", site.server.port, timeout=WITHIN)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200, "pages are answered beside forty streams"
    connection.close()
    for listener in listeners:
        listener.close()
    before = site.cluster

    def is_quiet() -> bool:
        site.cluster = cluster_view(epoch=site.cluster.epoch + 1)  # so that there is something to write
        return not is_listening()

    wait_until(is_quiet, within=WITHIN, what="the end of the thread that looks")
    assert site.cluster is not before


def test_a_reader_that_reads_nothing_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.web.channel.MAX_BEHIND", 4096)
    with socket.socket() as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sleeper.connect(("127.0.0.1", site.server.port))
        sleeper.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(is_listening, within=WITHIN, what="the stream")

        def is_cut_off() -> bool:
            site.cluster = cluster_view(
                active_drivers=tuple(driver_view(n, reason="x" * 500 + str(site.looks)) for n in range(200))
            )
            return not is_listening()

        wait_until(is_cut_off, within=WITHIN, what="the end of a stream nobody reads")


def is_listening() -> bool:
    """The thread that looks for changes lives as long as there is a listener."""
    return "events" in [thread.name for thread in threading.enumerate()]


def test_a_revoked_token_ends_its_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module.EventStream.__init__, "__kwdefaults__", {"look_every": 0.02})
    tokens = TokenFile(tmp_path / "keys")
    secret = tokens.create("ada", AccessRole.VIEWER)
    site = Site(Access(anonymous=AccessRole.NONE, tokens=tokens))
    try:
        stranger = Listener(site)
        assert stranger.response.status == 401
        stranger.close()
        listener = Listener(site, Authorization=f"Bearer {secret}")
        assert listener.event()[0] == "reset"
        tokens.revoke("ada")
        wait_until(lambda: not is_listening(), within=WITHIN, what="the end of the stream")
        with pytest.raises(http.client.IncompleteRead) as cut:  # its connection is closed
            listener.response.read()
        assert cut.value.partial == b"", "and nothing was sent meanwhile"
        listener.close()
    finally:
        site.server.close()


def test_heartbeats_are_no_changes() -> None:
    old = cluster_view()
    new = cluster_view(workers=tuple(worker_view(1, last_heartbeat=9e9) for _ in range(1)) + old.workers[1:])
    assert list(differences(old, new, 9e9)) == []
    assert [kind for kind, _ in differences(old, cluster_view(epoch=4), 9e9)] == ["master"]


def test_a_kill_says_who_ordered_it() -> None:
    order = Order(by="ada", door="dashboard", at=70.0)
    killed = driver_view(1, state=DriverState.KILLED, ended=71.0, principal="bob", kill=order)
    [(_, data)] = differences(
        cluster_view(active_drivers=(driver_view(1),)), cluster_view(active_drivers=(killed,)), 99.0
    )
    assert (data["at"], data["principal"], data["kill"]) == (
        71.0,
        "bob",
        {"by": "ada", "door": "dashboard", "at": 70.0},
    )


def test_changes_say_when_and_whose() -> None:
    changed = cluster_view(
        workers=(worker_view(1, draining=True), worker_view(2, state=WorkerState.DEAD)),
        active_drivers=(driver_view(2, started=50.0, user="bob"), driver_view(4, state=DriverState.SUBMITTED, submitted=60.0,
                        attempts=())),
        completed_drivers=(driver_view(3, state=DriverState.FAILED, ended=5.0), driver_view(1, ended=70.0)),
    )  # fmt: skip
    old = cluster_view(completed_drivers=(driver_view(3, state=DriverState.FAILED, ended=5.0),))
    found = {data["id"]: (data["at"], data.get("user"), data["state"]) for _, data in differences(old, changed, 99.0)}
    assert found == {
        worker_view(1).id: (99.0, None, "DECOMMISSIONED"),
        driver_view(2).id: (50.0, "bob", "RUNNING"),
        driver_view(4).id: (60.0, "", "SUBMITTED"),
    }
