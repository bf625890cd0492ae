"""Removal of local directories of ended applications, old work directories, and unused uploads."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable

from stoker.config.worker import WorkerConfig
from stoker.worker.jobs.cache import BlobCache
from stoker.worker.jobs.cleanup import clean
from stoker.worker.jobs.prepare import Preparer

LOG = logging.getLogger("stoker.worker")
CACHE_UNUSED_FOR = 24 * 3600.0  # seconds until an unused upload is removed
CACHE_EVERY = 3600.0  # seconds


class Housekeeping:
    """``active`` names the drivers and applications that have jobs here. Slow work runs in threads."""

    def __init__(
        self, config: WorkerConfig, cache: BlobCache, preparer: Preparer, active: Callable[[], set[str]]
    ) -> None:
        self._config = config
        self._cache = cache
        self._preparer = preparer
        self._active = active
        self._over: set[str] = set()
        self._clean_at = time.monotonic() + config.cleanup_interval if config.cleanup_enabled else float("inf")
        self._prune_at = time.monotonic() + CACHE_EVERY
        self._cleaner: threading.Thread | None = None

    def application_over(self, app_id: str) -> None:
        """Remove the application's directories as soon as none of its executors is left."""
        self._over.add(app_id)

    def look(self, now: float) -> None:
        if self._over:
            for app_id in self._over - self._active():
                self._over.discard(app_id)
                for path in self._preparer.local_dirs_of(app_id):
                    shutil.rmtree(path, ignore_errors=True)
        if now >= self._clean_at and (self._cleaner is None or not self._cleaner.is_alive()):
            self._clean_at = now + self._config.cleanup_interval
            active = self._active()  # as of now: a later job writes new files, so its directory is not old
            self._cleaner = threading.Thread(
                target=clean, args=(self._config.work_dir, self._config.cleanup_ttl, active.__contains__), daemon=True
            )
            self._cleaner.start()
        if now >= self._prune_at:
            self._prune_at = now + CACHE_EVERY
            self._cache.prune(CACHE_UNUSED_FOR)

    def next_deadline(self) -> float:
        return min(self._clean_at, self._prune_at)
