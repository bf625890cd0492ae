"""Tries the shadow policy of ``pools.yml`` beside the pools in force, in a thread of its own; the loop only makes the
snapshots and takes the results (ADR 34)."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable

import msgspec

from stoker.core.forecast.rebuild import Snapshot
from stoker.core.forecast.shadow import MOST_WAITING, compare
from stoker.core.model.pools import Pools, ShadowView
from stoker.core.model.views import ClusterView
from stoker.master.pools_file import PoolsFile

LOG = logging.getLogger("stoker.master")
INTERVAL = 30.0  # seconds between comparisons
SHARE = 0.05  # of a processor that comparisons may cost; those of a large cluster are further apart
_SEED = 1  # equal workers are shuffled alike in both plays


class Shadow:
    """``snapshot`` makes one, in the loop; ``show`` takes the result, there too; ``in_loop`` runs a function there. The sums
    begin anew when one of the two files changes."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        show: Callable[[ShadowView | None], None],
        in_loop: Callable[[Callable[[], None]], object],
    ) -> None:
        self._snapshot, self._show, self._in_loop = snapshot, show, in_loop
        self._of: tuple[Pools, Pools | None, str] | None = None  # the pools in force, the shadow, and its fault
        self._view: ShadowView | None = None
        self._look_at = self._began = 0.0  # time.monotonic seconds
        self._thread: threading.Thread | None = None

    def look(self, files: PoolsFile, mono: float) -> float:
        """Compare if it is time; return when to look next (``time.monotonic`` seconds)."""
        of = (files.pools, files.shadow, files.shadow_fault)
        if self._of is None or any(one is not other for one, other in zip(of, self._of, strict=True)):
            self._of, self._look_at = of, mono
            name = files.pools.shadow
            self._view = ShadowView(name, fault=files.shadow_fault) if name else None
            self._show(self._view)
        if files.shadow is None or self._view is None:
            return math.inf
        if mono >= self._look_at and self._thread is None:
            self._began = mono
            self._start(files.shadow, self._view)
        return math.inf if self._thread is not None else self._look_at

    def _start(self, pools: Pools, view: ShadowView) -> None:
        started = time.perf_counter()
        snapshot = self._snapshot()
        waiting = _waiting(snapshot.cluster)
        if waiting > MOST_WAITING:
            note = f"{waiting} jobs wait: no comparison is made of more than {MOST_WAITING}"
            self._done(pools, msgspec.structs.replace(view, note=note), time.perf_counter() - started)
            return
        self._thread = threading.Thread(
            target=self._compare,
            args=(snapshot, pools, msgspec.structs.replace(view, note="")),
            name="shadow",
            daemon=True,
        )
        self._thread.start()

    def _compare(self, snapshot: Snapshot, pools: Pools, view: ShadowView) -> None:
        started = time.perf_counter()
        try:
            view = compare(snapshot, pools, lambda: random.Random(_SEED), view)  # noqa: S311 - guards nothing
        except Exception:  # the shadow must not stop a master
            LOG.exception("the shadow policy could not be compared")
            view = msgspec.structs.replace(view, note="the latest comparison failed: see the master's log")
        cost = time.perf_counter() - started
        self._in_loop(lambda: self._done(pools, view, cost))

    def _done(self, pools: Pools, view: ShadowView, cost: float) -> None:
        self._thread = None
        self._look_at = self._began + max(INTERVAL, cost / SHARE)
        if self._of is not None and pools is self._of[1]:
            self._view = view
            self._show(view)


def _waiting(cluster: ClusterView) -> int:
    drivers = sum(1 for driver in cluster.active_drivers if not driver.worker_id)
    return drivers + sum(1 for app in cluster.active_apps if not app.executors)
