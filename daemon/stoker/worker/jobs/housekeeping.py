"""Removal of what ended jobs leave: scratch directories of ended applications, old folders, and unused uploads.

The loop's thread decides and renames, so a job that is just starting keeps its folder; a thread of its own removes.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from stoker.config.worker import WorkerConfig
from stoker.core.model.states import JobPhase
from stoker.core.worker.jobs import AnyJob, DriverJob
from stoker.worker.jobs.cache import BlobCache
from stoker.worker.jobs.cleanup import Cleaner, ToRemove
from stoker.worker.jobs.folders import remove, set_aside, set_files_aside
from stoker.worker.jobs.prepare import Preparer

LOG = logging.getLogger("stoker.worker")
CACHE_UNUSED_FOR = 24 * 3600.0  # seconds until an unused upload is removed
CACHE_EVERY = 3600.0  # seconds
SOON = 60.0  # seconds between two rounds, however short of room the disk is
_ANSWER_WITHIN = 60.0  # seconds; later the daemon has stopped
_KNOWN = 10_000  # ended jobs that are remembered


class Housekeeping:
    """``jobs`` are those of the worker. ``slot`` is its own folder. ``remove`` removes a folder that was set aside, in
    the thread."""

    def __init__(
        self,
        config: WorkerConfig,
        cache: BlobCache,
        preparer: Preparer,
        *,
        slot: Path,
        jobs: Callable[[], Iterable[AnyJob]],
        in_loop: Callable[[Callable[[], None]], None],
        remove: Callable[[Path], None] = remove,
    ) -> None:
        self._config, self._remove = config.cleanup, remove
        self._cache, self._preparer, self._jobs, self._in_loop = cache, preparer, jobs, in_loop
        self._cleaner = Cleaner(config.cleanup, config.work_dir, config.local_dirs, slot, remove)
        self._over: set[str] = set()
        self._known: dict[str, None] = {}  # keys of leftovers of jobs that this daemon has seen end, oldest first
        self._clean_at = time.monotonic() + config.cleanup.interval if config.cleanup.is_on else float("inf")
        self._soon_at = float("inf")  # of a round because a disk is short of room
        self._earliest = 0.0  # of the next such round
        self._prune_at = time.monotonic() + CACHE_EVERY
        self._aside: deque[Path] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def application_over(self, app_id: str) -> None:
        """Remove the application's scratch directories as soon as none of its executors is left."""
        self._over.add(app_id)

    def ended(self, job: AnyJob) -> None:
        """Note that a job has ended: its folder is a leftover from now on."""
        key, folder = _key_of(job), self._preparer.folder(job)
        self._known[key] = self._known.pop(key, None)
        if len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        with suppress(OSError):
            os.utime(folder)
        if self._config.is_on and self._config.files_at_end and key not in self._active(JobPhase.ENDED):
            self._remove_later(_aside(folder, whole=False))

    def clean_soon(self) -> None:
        """Look for folders to remove now, because a disk is short of room."""
        if self._config.is_on:
            self._soon_at = self._earliest

    def look(self, now: float) -> None:
        if self._over:
            for app_id in self._over - {key.partition("/")[0] for key in self._active()}:
                self._over.discard(app_id)
                for path in self._preparer.local_dirs_of(app_id):
                    self._remove_later(_aside(path, whole=True))
        if now >= self._prune_at:
            self._prune_at = now + CACHE_EVERY
            self._cache.prune(CACHE_UNUSED_FOR)
        if self._thread is not None and self._thread.is_alive():
            return
        if now >= min(self._clean_at, self._soon_at):
            self._clean_at, self._earliest = now + self._config.interval, now + SOON
            self._soon_at = float("inf")
            self._start(lambda: self._round(self._active(), set(self._known)))
        elif self._aside:
            self._start(self._remove_aside)

    def next_deadline(self) -> float:
        return min(self._clean_at, self._soon_at, self._prune_at)

    def close(self) -> None:
        self._stopping = True

    def _active(self, *but: JobPhase) -> set[str]:
        return {_key_of(job) for job in self._jobs() if job.phase not in but}

    def _remove_later(self, aside: Path | None) -> None:
        if aside is not None:
            self._aside.append(aside)

    def _take(self, removal: ToRemove) -> Path | None:
        """Put a leftover aside, unless a job has its folder again; an application's own folder is removed if it is empty."""
        active = self._active()
        if removal.is_application:
            if removal.key not in {key.partition("/")[0] for key in active}:
                with suppress(OSError):
                    removal.folder.rmdir()
            return None
        if removal.key in active:
            return None
        if removal.whole:
            self._known.pop(removal.key, None)
        return _aside(removal.folder, whole=removal.whole)

    # --- the thread ---

    def _start(self, work: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=work, name="cleanup", daemon=True)
        self._thread.start()

    def _round(self, active: set[str], known: set[str]) -> None:
        self._remove_aside()
        self._cleaner.round(active, self._ask, known=known)

    def _ask(self, removal: ToRemove) -> Path | None:
        """Have the loop's thread put a leftover aside."""
        answer: SimpleQueue[Path | None] = SimpleQueue()
        self._in_loop(lambda: answer.put(self._take(removal)))
        with suppress(Empty):
            return None if self._stopping else answer.get(timeout=_ANSWER_WITHIN)
        return None

    def _remove_aside(self) -> None:
        while self._aside and not self._stopping:
            self._remove(self._aside.popleft())


def _aside(folder: Path, *, whole: bool) -> Path | None:
    """Rename what is to be removed. Never raises."""
    try:
        return set_aside(folder) if whole else set_files_aside(folder)
    except OSError as error:
        LOG.warning("cannot clean %s: %s", folder, error.strerror or error)
        return None


def _key_of(job: AnyJob) -> str:
    """Return the key of the leftover that the job's folder becomes; attempts of a driver share one."""
    return job.driver_id if isinstance(job, DriverJob) else job.key
