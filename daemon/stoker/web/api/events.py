"""``/api/v1/events``: changes of the cluster as server-sent events.

A stream holds a connection but no thread. While there are listeners, one thread reads the snapshot, computes the changes
once, and sends the same bytes to all of them. Without listeners nothing runs.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from flask import Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from stoker.core.model.states import DriverState
from stoker.core.model.values import Order
from stoker.core.model.views import AppView, ClusterView, DriverView, WorkerView
from stoker.errors import StokerError
from stoker.security.roles import AccessRole
from stoker.web.api.declare import Api, Operation

LOG = logging.getLogger("stoker.web")
STREAM = "stoker.stream"  # in the WSGI environment, set by ``channel``
LOOK_EVERY = 1.0  # seconds
ALIVE_EVERY = 15.0  # seconds between keep-alives, so that both ends notice a broken connection
KEPT = 2000  # events kept for listeners that reconnect
MOST_AT_ONCE = 1000  # changes; after more, listeners are asked to read everything again
MOST_LISTENERS = 400  # of the server's connections


class Reader(Protocol):
    def push(self, data: bytes) -> bool:
        """Send a piece; False when the listener is gone. Never waits."""
        ...

    def hang_up(self) -> None:
        """Close the connection."""
        ...


class _Listener(NamedTuple):
    reader: Reader
    is_allowed: Callable[[], bool]


class EventStream:
    """Sends changes to all listeners. ``snapshot`` may raise StokerError, which counts as no change. Thread-safe."""

    def __init__(self, snapshot: Callable[[], ClusterView], *, look_every: float = LOOK_EVERY) -> None:
        self._snapshot = snapshot
        self._look_every = look_every
        self._lock = threading.Lock()
        self._listeners: list[_Listener] = []
        self._events: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._number = 0
        self._start = secrets.token_hex(4)  # an earlier master counted on its own
        self._last: ClusterView | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_full(self) -> bool:
        return len(self._listeners) >= MOST_LISTENERS

    def listen(self, reader: Reader, last_id: str, is_allowed: Callable[[], bool]) -> None:
        """Add a listener. ``last_id`` is its last event ("": none); ``is_allowed`` is called before each look."""
        with self._lock:
            if not reader.push(self._greeting(last_id)):
                return
            self._listeners.append(_Listener(reader, is_allowed))
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="events", daemon=True)
                self._thread.start()

    def _greeting(self, last_id: str) -> bytes:
        """Return the missed events, or the event that asks for a complete read."""
        start, _, number = last_id.partition("-")
        missed = int(number) if number.isascii() and number.isdigit() and len(number) < 16 else -1
        first = self._events[0][0] if self._events else self._number + 1
        if start == self._start and first - 1 <= missed <= self._number:
            return b": welcome back\n\n" + b"".join(data for at, data in self._events if at > missed)
        return self._frame(self._number, "reset", {"reason": "read everything once, then follow the changes"})

    def _frame(self, number: int, kind: str, value: object) -> bytes:
        return f"id: {self._start}-{number}\nevent: {kind}\ndata: {json.dumps(value)}\n\n".encode()

    def _look(self) -> None:
        alive_at = time.monotonic() + ALIVE_EVERY
        while True:
            threading.Event().wait(self._look_every)
            frames = self._changes()
            is_due = time.monotonic() >= alive_at
            if is_due:
                alive_at = time.monotonic() + ALIVE_EVERY
            with self._lock:
                data = b"".join(frames) or (b": alive\n\n" if is_due else b"")
                self._listeners = [one for one in self._listeners if self._is_allowed(one)]
                if data:
                    self._listeners = [one for one in self._listeners if one.reader.push(data)]
                if not self._listeners:
                    self._thread = None
                    return

    def _is_allowed(self, listener: _Listener) -> bool:
        """Return whether the listener may go on; the connection of one whose token was revoked is closed."""
        if listener.is_allowed():
            return True
        listener.reader.hang_up()
        return False

    def _changes(self) -> list[bytes]:
        try:
            cluster = self._snapshot()
        except StokerError:
            return []
        except Exception:
            LOG.exception("no events: the snapshot failed")
            return []
        last, self._last = self._last, cluster
        if last is None or last is cluster:
            return []
        changes = list(differences(last, cluster, time.time()))
        if len(changes) > MOST_AT_ONCE:
            changes = [("reset", {"reason": f"{len(changes)} changes at once"})]
        frames = []
        with self._lock:
            for kind, value in changes:
                self._number += 1
                frames.append(self._frame(self._number, kind, value))
                self._events.append((self._number, frames[-1]))
        return frames


def add_events(api: Api, stream: EventStream) -> None:
    """GET /api/v1/events; ``Last-Event-ID`` resumes where a listener stopped."""

    def events() -> Response:
        response = Response(b"", mimetype="text/event-stream")
        response.headers.remove("Content-Length")
        response.automatically_set_content_length = False
        response.headers["X-Accel-Buffering"] = "no"  # of proxies
        become_stream = request.environ.get(STREAM)
        if request.method == "HEAD":
            return response
        if become_stream is None or stream.is_full:
            raise ServiceUnavailable("Too many are listening already: try again later.")
        last_id = request.headers.get("Last-Event-ID", "")
        is_allowed = current_app.extensions["still_allowed"]()
        become_stream(lambda channel: stream.listen(channel, last_id, is_allowed))
        return response

    api.add(
        Operation("GET", "/events", "Changes, as server-sent events", AccessRole.VIEWER, "text/event-stream"), events
    )


def differences(old: ClusterView, new: ClusterView, now: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return (kind, new view) of everything whose state differs; heartbeats and the passing of time do not count. ``at`` is
    when it happened, as far as the view says, else ``now``: seconds since the Unix epoch."""
    if (old.state, old.epoch, old.leader_url) != (new.state, new.epoch, new.leader_url):
        yield "master", {"at": now, "state": new.state.value, "epoch": new.epoch, "leader_url": new.leader_url}
    drivers = (*old.active_drivers, *old.completed_drivers), (*new.active_drivers, *new.completed_drivers)
    apps = (*old.active_apps, *old.completed_apps), (*new.active_apps, *new.completed_apps)
    for kind, before, after, shown, changed_at in (
        ("worker", old.workers, new.workers, _worker, lambda _: 0.0),
        ("driver", *drivers, _driver, _driver_changed),
        ("application", *apps, _app, _app_changed),
    ):
        for view, value in _of(before, after, shown):
            yield kind, {"at": (changed_at(view) if view else 0.0) or now, **value}


def _of(old: Any, new: Any, shown: Callable[[Any], dict[str, Any]]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Return (view, what is shown of it); None for a view that is no longer there."""
    before = {view.id: view for view in old}
    for view in new:
        was = before.pop(view.id, None)
        if was is not view and (was is None or shown(was) != shown(view)):
            yield view, shown(view)
    for gone in before:
        yield None, {"id": gone, "removed": True}


def _driver_changed(view: DriverView) -> float:
    """Return when the driver entered its state; 0: unknown."""
    if view.ended:
        return view.ended
    if view.state is DriverState.RUNNING:
        return view.started
    return 0.0 if view.attempts else view.submitted


def _app_changed(view: AppView) -> float:
    if view.ended:
        return view.ended
    return 0.0 if view.executors or view.removed_executors else view.submitted


def _worker(view: WorkerView) -> dict[str, Any]:
    return {
        "id": view.id,
        "state": view.shown_state.value,
        "draining": view.draining,
        "drain": _order(view.drain),
        "unfit": [{"kind": one.kind, "text": one.text} for one in view.unfit],
        "cores": view.cores,
        "cores_used": view.cores_used,
        "memory_mib": view.memory_mib,
        "memory_used_mib": view.memory_used_mib,
    }


def _driver(view: DriverView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "user": view.user,
        "state": view.state.value,
        "awaits": list(view.awaits),
        "attempts": len(view.attempts),
        "worker_id": view.worker_id,
        "principal": view.principal,
        "reason": view.reason,
        "kill": _order(view.kill),
        "hold": _order(view.hold),
    }


def _app(view: AppView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "user": view.user,
        "state": view.state.value,
        "cores_granted": view.cores_granted,
        "executors": len(view.executors),
        "principal": view.principal,
        "reason": view.reason,
        "kill": _order(view.kill),
        "hold": _order(view.hold),
    }


def _order(order: Order | None) -> dict[str, Any] | None:
    return None if order is None else {"by": order.by, "door": order.door, "at": order.at}
