"""Pages that many browsers poll: made once for all of them, and not sent when nothing has changed.

A page polls itself (ADR 10): it sends the tag of its content and mostly gets 304. The tag counts changes of the cluster;
heartbeats and the passing of time do not count.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import cached_property

from flask import Response, request
from msgspec.structs import replace

from stoker.core.master.scheduling.explain import Waiting
from stoker.core.model.states import WorkerState
from stoker.core.model.views import ClusterView, JobNumbers, PoolView, WorkerView

PAGES_KEPT = 16  # bodies, of at most some 300 kB each
LOOKS = 40.0  # polls a second of all browsers together: the more browsers, the less often each polls
SLOWEST = 10.0  # seconds between two polls of one browser, at most
SEEN_FOR = 15.0  # seconds after which a browser that has not polled counts as gone
BODY_AGE = 5.0  # seconds a body is reused: the durations in it are those of when it was made


class Scene:
    """One state of the cluster. Whatever pages derive from it is computed at most once."""

    def __init__(self, cluster: ClusterView, version: int) -> None:
        self.cluster = cluster
        self.version = version

    @cached_property
    def waiting(self) -> Waiting:
        return Waiting(self.cluster)

    @cached_property
    def workers(self) -> dict[str, WorkerView]:
        return {worker.id: worker for worker in self.cluster.workers}

    @cached_property
    def alive(self) -> list[WorkerView]:
        return self.cluster.live_workers

    @cached_property
    def _connected(self) -> set[str]:
        return {_place(worker.id) for worker in self.cluster.workers if worker.state is WorkerState.ALIVE}

    def has_output(self, worker_id: str) -> bool:
        """Whether that worker is connected, or one that was started in its place: so that its jobs' output can be read."""
        return _place(worker_id) in self._connected

    @cached_property
    def worker_states(self) -> Counter[str]:
        return Counter(worker.shown_state.value for worker in self.cluster.workers)

    @cached_property
    def active_states(self) -> Counter[str]:
        return Counter(driver.state.value for driver in self.cluster.active_drivers)

    @cached_property
    def completed_states(self) -> Counter[str]:
        return Counter(driver.state.value for driver in self.cluster.completed_drivers)

    @cached_property
    def drivers(self) -> JobNumbers:
        return self.cluster.driver_numbers

    @cached_property
    def apps(self) -> JobNumbers:
        return self.cluster.app_numbers

    @cached_property
    def app_states(self) -> Counter[str]:
        return Counter(app.state.value for app in self.cluster.active_apps)


def _place(worker_id: str) -> str:
    """Return HOST-PORT of a worker's id."""
    return worker_id.split("-", 2)[-1]


class Audience:
    """Decides how often each browser polls, so that all of them together stay within ``LOOKS``."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def pace(self, browser: str, now: float) -> float:
        """Return the least seconds until ``browser`` should poll again. ``now`` is ``time.monotonic``."""
        with self._lock:
            self._seen.pop(browser, None)
            self._seen[browser] = now  # moved to the end, so that the first are the oldest
            while (first := next(iter(self._seen.items())))[1] < now - SEEN_FOR:
                del self._seen[first[0]]
            return min(len(self._seen) / LOOKS, SLOWEST)


class LivePages:
    """Answers polls. ``snapshot`` may raise StokerError. All methods are thread-safe."""

    def __init__(self, snapshot: Callable[[], ClusterView]) -> None:
        self._snapshot = snapshot
        self._lock = threading.Lock()
        self._scene: Scene | None = None
        self._start = secrets.token_hex(4)  # an earlier master counted on its own
        self._bodies: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def scene(self) -> Scene:
        cluster = self._snapshot()
        with self._lock:
            last = self._scene
            if last is None or last.cluster is not cluster:
                changed = last is None or not _is_same(last.cluster, cluster)
                version = 0 if last is None else last.version + changed
                if last is None or changed:
                    self._scene = Scene(cluster, version)
                else:
                    last.cluster = cluster  # only heartbeats differ: what was computed stays valid
            assert self._scene is not None
            return self._scene

    def answer(self, scene: Scene, make: Callable[[], str], *, visitor: str = "", also: object = "") -> Response:
        """Answer 304 to a browser that already shows this, else the page that ``make`` makes, or made a moment ago for
        another request. ``visitor`` is what the body depends on besides the URL, ``also`` what it shows besides the scene.
        The tag contains both: somebody whose session has ended must not go on with the page of the session."""
        tag = f"{self._start}-{scene.version}-{also}-{hashlib.sha256(visitor.encode()).hexdigest()[:12]}"
        if request.if_none_match.contains(tag):
            response = Response(status=304)
        else:
            response = Response(self._body(f"{tag} {request.full_path}", make))
        response.set_etag(tag)
        return response

    def _body(self, key: str, make: Callable[[], str]) -> str:
        now = time.monotonic()
        with self._lock:
            kept = self._bodies.get(key)
        if kept is not None and now - kept[0] < BODY_AGE:
            return kept[1]
        body = make()
        with self._lock:
            self._bodies[key] = (now, body)
            self._bodies.move_to_end(key)
            while len(self._bodies) > PAGES_KEPT:
                self._bodies.popitem(last=False)
        return body


def _is_same(old: ClusterView, new: ClusterView) -> bool:
    """Whether pages look the same. Unchanged views are the same objects, so this mostly compares identities."""
    return all(getattr(old, name) == getattr(new, name) for name in _OF_CLUSTER) and (
        _is_same_use(old, new)
        and len(old.workers) == len(new.workers)
        and all(a is b or _is_same_worker(a, b) for a, b in zip(old.workers, new.workers, strict=True))
    )


def _is_same_use(old: ClusterView, new: ClusterView) -> bool:
    """Whether pools look the same. Past use changes all the time; pages show whole per cent."""
    return old.pools == new.pools or list(map(_shown, old.pools)) == list(map(_shown, new.pools))


def _shown(pool: PoolView) -> PoolView:
    people = tuple(replace(one, part=round(one.part, 2)) for one in pool.principals)
    return replace(pool, part_now=round(pool.part_now, 2), part_past=round(pool.part_past, 2), principals=people)


def _is_same_worker(old: WorkerView, new: WorkerView) -> bool:
    return all(getattr(old, name) == getattr(new, name) for name in _OF_WORKER)


_OF_CLUSTER = tuple(name for name in ClusterView.__struct_fields__ if name not in ("workers", "pools"))
_OF_WORKER = tuple(name for name in WorkerView.__struct_fields__ if name != "last_heartbeat")
