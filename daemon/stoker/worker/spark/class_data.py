"""Class data for Spark's executors (ADR 16): which archive one may use, and making those that are missing.

An archive is made in the background, by a process of the keeper's like any job's, so nothing is left of it when the worker
ends; one at a time, niced, first in line when memory runs out, and not while executors are being started.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stoker.engines.spark_archive import Runtime, maker_argv, maker_environment
from stoker.worker.keeper.messages import CLASS_DATA_KEY, Exited, NotStarted, Started, ToKeeper
from stoker.worker.spark.archives import Archive, Archives
from stoker.worker.spark.background import BackgroundWorker

LOG = logging.getLogger("stoker.worker")
QUIET = 10.0  # seconds without a start of an executor before an archive is made
LONGEST = 600.0  # seconds that making one may take; 20 are usual
PRUNE_EVERY = 3600.0  # seconds


class ArchiveRequest(NamedTuple):
    key: str
    runtime: Runtime
    java_options: tuple[str, ...]


class ClassData:
    """``archive_for`` is what a launch asks. ``worker`` is the slot's name, ``environ`` what programs inherit, ``say`` talks
    to the keeper, ``in_loop`` runs a call in the loop's thread; all else is called there. Switched off it does nothing."""

    def __init__(
        self,
        folder: Path,
        worker: str,
        *,
        is_on: bool,
        environ: Mapping[str, str],
        say: Callable[[ToKeeper], None],
        in_loop: Callable[[Callable[[], None]], None],
    ) -> None:
        self._archives = Archives(folder)
        self._worker = worker
        self._is_on = is_on
        self._environ = environ
        self._say = say
        self._background = BackgroundWorker("class-data", in_loop)
        self._ready: dict[str, Archive] = {}
        self._wanted: dict[str, ArchiveRequest] = {}
        self._given_up: set[str] = set()
        self._making: ArchiveRequest | None = None
        self._workshop = folder
        self._start_at = float("inf")  # monotonic, as those that follow
        self._give_up_at = float("inf")
        self._prune_at = float("inf")
        if is_on and folder.is_dir():
            self._prune()

    # --- a launch ---

    def archive_for(self, runtime: Runtime, java_options: Sequence[str]) -> Path | None:
        """Return the archive; None when it does not exist yet, and it will be made."""
        if not self._is_on:
            return None
        try:
            key = runtime.key()
        except OSError:
            return None
        self._start_at = time.monotonic() + QUIET
        archive = self._ready.get(key)
        if archive is not None and archive.is_as_checked():
            return archive.path
        self._ready.pop(key, None)
        if key and key not in self._given_up and (self._making is None or self._making.key != key):
            self._wanted[key] = ArchiveRequest(key, runtime, tuple(java_options))
        return None

    # --- the loop ---

    def look(self, now: float) -> None:
        """``now`` is monotonic."""
        if self._making is not None:
            if now >= self._give_up_at:
                self._end()
        elif self._wanted and now >= self._start_at and not self._background.is_busy:
            _, request = self._wanted.popitem()
            self._in_thread(lambda: self._archives.check(request.key), lambda found: self._checked(request, found))
        elif now >= self._prune_at and not self._background.is_busy:
            self._prune()

    def next_deadline(self) -> float:
        if self._making is not None:
            return self._give_up_at
        if self._background.is_busy:
            return float("inf")
        return min(self._start_at if self._wanted else float("inf"), self._prune_at)

    def stop(self) -> None:
        """Stop making archives, because the worker stops."""
        self._is_on = False
        self._wanted.clear()
        self._prune_at = float("inf")
        self._end()

    def close(self) -> None:
        self._background.close()

    # --- the thread ---

    def _in_thread(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """``done`` is called unless the worker ends meanwhile."""
        self._background.run(work, lambda result: done(result) if self._is_on else None)

    def _prune(self) -> None:
        """At the start, each archive is checked as well."""
        self._prune_at = time.monotonic() + PRUNE_EVERY
        known = set(self._ready)

        def work() -> dict[str, Archive | None]:
            return {key: self._archives.check(key) for key in self._archives.prune() if key not in known}

        self._in_thread(work, self._pruned)

    def _pruned(self, found: dict[str, Archive | None] | OSError) -> None:
        if isinstance(found, OSError):
            LOG.warning("class-data archives cannot be checked: %s", found)
            return
        self._ready.update({key: archive for key, archive in found.items() if archive is not None})

    def _checked(self, request: ArchiveRequest, found: Archive | OSError | None) -> None:
        """Look in the store: another worker or an earlier daemon may have made the archive."""
        if isinstance(found, Archive):
            self._ready[request.key] = found
        else:
            self._make(request)

    # --- making one ---

    @property
    def is_making(self) -> bool:
        """Whether the keeper runs a process, or has been asked to start one."""
        return self._making is not None

    def _make(self, request: ArchiveRequest) -> None:
        try:
            self._workshop = self._archives.workshop(request.key, self._worker)
        except OSError as error:
            self._give_up(request, str(error))
            return
        LOG.info("making a class-data archive for %s, so that its executors start faster", request.runtime.home)
        self._making = request
        self._give_up_at = time.monotonic() + LONGEST
        self._say(
            {
                "op": "spawn",
                "key": CLASS_DATA_KEY + request.key,
                "argv": maker_argv(request.runtime, request.java_options, self._workshop / "made.jsa"),
                "env": maker_environment(request.runtime, self._environ, self._workshop),
                "cwd": str(self._workshop),
                "stdout": str(self._workshop / "stdout"),
                "stderr": str(self._workshop / "stderr"),
                "header": "",
                "note": "",
                "kind": "class-data",
            }
        )

    def _end(self) -> None:
        if self._making is not None:
            self._give_up_at = float("inf")
            self._say({"op": "stop", "key": CLASS_DATA_KEY + self._making.key, "grace": 0})

    def on_keeper(self, message: Started | NotStarted | Exited) -> None:
        """Handle the keeper's message about a process that makes an archive."""
        if message["op"] == "started":
            with contextlib.suppress(OSError):  # where memory runs out, this goes before any executor
                Path(f"/proc/{message['pid']}/oom_score_adj").write_text("1000")
            return
        self._say({"op": "forget", "key": message["key"]})
        request, self._making = self._making, None
        if request is None or not self._is_on:
            return
        if message.get("code") != 0:
            self._give_up(request, f"it could not be made, see {self._workshop / 'stderr'}")
            return
        made = self._workshop / "made.jsa"
        self._in_thread(
            lambda: self._archives.keep(request.key, made, request.runtime),
            lambda archive: self._made(request, archive),
        )

    def _made(self, request: ArchiveRequest, archive: Archive | OSError | None) -> None:
        if not isinstance(archive, Archive):
            self._give_up(request, f"it could not be kept: {archive or 'it is damaged'}")
            return
        self._ready[request.key] = archive
        LOG.info("%s: %d MiB, for later executors", archive.path, archive.size >> 20)
        self._prune()  # it may be the successor of one

    def _give_up(self, request: ArchiveRequest, reason: str) -> None:
        """Give up an archive until the daemon's next start."""
        self._given_up.add(request.key)
        LOG.warning("no class-data archive for %s: %s; its executors start as usual", request.runtime.home, reason)

    def left_over(self, key: str) -> None:
        """Stop a process that an earlier daemon started."""
        self._say({"op": "stop", "key": key, "grace": 0})
        self._say({"op": "forget", "key": key})

    def keeper_lost(self) -> None:
        """Stop making the archive, with all its processes; it is made when the next executor asks for it."""
        self._making = None
