"""Views of the Sparks of this machine (ADR 19), ``WORK_DIR/.stoker/spark-python/KEY/``: what executors have for SPARK_HOME.

One is made in the background, when the first executor of its Spark has been started, and goes with its Spark.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from stoker.engines.spark_python import home_of, make_view, view_key
from stoker.worker.keeper.processes import is_in_an_environment
from stoker.worker.spark.background import BackgroundWorker
from stoker.worker.spark.store import Store

LOG = logging.getLogger("stoker.worker")
QUIET = 10.0  # seconds without a start of an executor before a view is made
PRUNE_EVERY = 3600.0  # seconds


class PythonViews:
    """``view_for`` is what a launch asks. ``worker`` is the slot's name, ``in_loop`` runs a call in the loop's thread; all
    else is called there. Switched off it does nothing."""

    def __init__(
        self, folder: Path, worker: str, *, is_on: bool, in_loop: Callable[[Callable[[], None]], None]
    ) -> None:
        self._store = Store(folder)
        self._worker = worker
        self._is_on = is_on and os.pathsep not in str(folder)  # it is to be in a PYTHONPATH
        self._wanted: dict[str, Path] = {}
        self._given_up: set[str] = set()
        self._background = BackgroundWorker("python-views", in_loop)
        self._start_at = float("inf")  # monotonic, as the other
        self._prune_at = time.monotonic() if self._is_on and folder.is_dir() else float("inf")

    def view_for(self, home: Path) -> Path:
        """Return the view of ``home``; ``home`` itself while there is none, and a view will be made."""
        if not self._is_on:
            return home
        try:
            key = view_key(home)
        except OSError:
            return home
        if key and self._store.path(key).is_dir():
            return self._store.path(key)
        if key and key not in self._given_up:
            self._wanted[key] = home
            self._start_at = time.monotonic() + QUIET
        return home

    def look(self, now: float) -> None:
        """``now`` is monotonic."""
        if self._background.is_busy:
            return
        if self._wanted and now >= self._start_at:
            key, home = self._wanted.popitem()
            self._background.run(lambda: self._make(key, home), lambda error: self._made(key, home, error))
        elif now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY
            self._background.run(lambda: self._store.prune(self._is_needed), _looked_through)

    def next_deadline(self) -> float:
        if self._background.is_busy:
            return float("inf")
        return min(self._start_at if self._wanted else float("inf"), self._prune_at)

    def close(self) -> None:
        self._background.close()

    # --- in the thread ---

    def _make(self, key: str, home: Path) -> None:
        workshop = self._store.workshop(key, self._worker)
        try:
            make_view(home, workshop)
            self._store.keep(key, workshop)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)

    def _is_needed(self, key: str) -> bool:
        """Return whether a view is still valid: its Spark is unchanged, or an executor still uses it."""
        view = self._store.path(key)
        try:
            is_current = view_key(home_of(view)) == key
        except OSError:  # the Spark was removed
            is_current = False
        return is_current or is_in_an_environment(b"SPARK_HOME=" + bytes(view))

    # --- in the loop ---

    def _made(self, key: str, home: Path, error: OSError | None) -> None:
        if error is not None:
            self._given_up.add(key)
            LOG.warning("Python files of %s cannot be unpacked: %s; its executors start as usual", home, error)
            return
        LOG.info("Python files of %s are unpacked for later executors", home)
        self._prune_at = time.monotonic()  # it may be the successor of one


def _looked_through(result: list[str] | OSError) -> None:
    if isinstance(result, OSError):
        LOG.warning("unpacked Python files cannot be checked: %s", result)
