"""Which folders of ended jobs are removed, and when: spark.worker.cleanup.* and spark.stoker.worker.cleanup.*.

A *leftover* is the folder of an ended driver, or of an ended executor. Old ones are removed whole. While all together are too
large, the longest ended lose their files, and only when no files are left to remove, their logs.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stoker.config.worker import CleanupConfig
from stoker.core.model.values import APP_ID, DRIVER_ID
from stoker.core.worker.jobs import driver_of
from stoker.worker.jobs.folders import NotMeasured, disk_used, is_aside, log_files, remove

LOG = logging.getLogger("stoker.worker")
YOUNG = 600.0  # seconds; another worker of this work directory may still prepare a job in so young a folder
MEASURE_WITHIN = 300.0  # seconds for one leftover
_EXECUTOR = re.compile(r"[0-9]{1,10}")
_SCRATCH = "stoker-"  # how the name of an application's scratch folder begins


class Leftover(NamedTuple):
    """``key`` is ``driver-...`` or ``app-.../N``; ``ended``: seconds since the Unix epoch."""

    key: str
    folder: Path
    ended: float


class ToRemove(NamedTuple):
    """``whole``: with the logs."""

    key: str
    folder: Path
    whole: bool

    @property
    def is_application(self) -> bool:
        return APP_ID.fullmatch(self.key) is not None


class Cleaner:
    """One round after another in a thread of its own. ``take(removal)`` runs in the loop's thread, where jobs start: it
    renames what may be removed, and returns its path now, or None for a job that is active."""

    def __init__(
        self,
        config: CleanupConfig,
        work_dir: Path,
        scratch: Iterable[Path],
        slot: Path,
        remove: Callable[[Path], None] = remove,
    ) -> None:
        self._remove = remove
        self._config, self._work_dir, self._scratch, self._slot = config, work_dir, tuple(scratch), slot
        self._sizes: dict[tuple[str, float], tuple[int, int]] = {}  # of a leftover: all, and its logs

    def round(self, active: set[str], take: Callable[[ToRemove], Path | None], *, known: set[str]) -> int:
        """Remove what is too old or too much; return how many folders. ``active`` and ``known``: keys of the jobs that this
        worker runs, and of those that it has seen end."""
        self._remove_all(_set_aside((self._work_dir, *self._scratch)))
        busy = active | set(_active_elsewhere(self._slot))
        is_shared = any(_other_slots(self._slot))
        found = [
            leftover
            for leftover in leftovers(self._work_dir)
            if leftover.key not in busy
            and (not is_shared or leftover.key in known or leftover.ended < time.time() - YOUNG)
        ]
        done = 0
        for removal in self.plan(found):
            aside = take(removal)
            if aside is not None:
                done += 1
                self._remove(aside)
        self._remove_scratch(busy)
        for folder in _empty_applications(self._work_dir, time.time() - YOUNG if is_shared else math.inf):
            take(ToRemove(folder.name, folder, whole=True))
        if done:
            LOG.info("removed the files of %d ended jobs", done)
        return done

    def _remove_all(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            self._remove(folder)

    def plan(self, found: list[Leftover]) -> Iterator[ToRemove]:
        """Yield what must go: what is too old, then what is too much."""
        old = time.time() - self._config.max_age
        for leftover in found:
            if leftover.ended < old:
                yield ToRemove(leftover.key, leftover.folder, whole=True)
        most = self._config.most_bytes(shutil.disk_usage(self._work_dir).total)
        if most is not None:
            young = (leftover for leftover in found if leftover.ended >= old)
            yield from self._too_much(sorted(young, key=lambda leftover: leftover.ended), most)

    def _too_much(self, found: list[Leftover], most: int) -> Iterator[ToRemove]:
        """Yield what exceeds ``most`` bytes. ``found``: the longest ended first."""
        sizes = self._sizes = {(one.key, one.ended): self._size(one) for one in found}
        excess = sum(size for size, _ in sizes.values()) - most
        for whole in (False, True):
            for one in found:
                if excess <= 0:
                    return
                size, logs = sizes[one.key, one.ended]
                gain = logs if whole else size - logs
                if gain > 0:
                    excess -= gain
                    sizes[one.key, one.ended] = (logs, logs)
                    yield ToRemove(one.key, one.folder, whole=whole)

    def _size(self, leftover: Leftover) -> tuple[int, int]:
        known = self._sizes.get((leftover.key, leftover.ended))
        if known is not None:
            return known
        logs = sum(log_files(leftover.folder).values())
        try:
            return max(logs, disk_used(leftover.folder, within=MEASURE_WITHIN)), logs
        except NotMeasured as error:
            LOG.warning("cleanup does not know how large %s is: %s", leftover.folder, error)
            return logs, logs

    def _remove_scratch(self, busy: set[str]) -> None:
        """Remove scratch folders of applications whose end this worker never learned."""
        running = {key.partition("/")[0] for key in busy}
        old = time.time() - max(self._config.max_age, YOUNG)
        for base in self._scratch:
            for entry in _folders(base):
                app_id = entry.name.removeprefix(_SCRATCH)
                if entry.name.startswith(_SCRATCH) and APP_ID.fullmatch(app_id) and app_id not in running:
                    with suppress(OSError):
                        if entry.stat(follow_symlinks=False).st_mtime < old:
                            self._remove(Path(entry.path))


def leftovers(work_dir: Path) -> Iterator[Leftover]:
    """Yield the folders of drivers and executors, ended or not. Other entries are not the worker's."""
    for entry in _folders(work_dir):
        if DRIVER_ID.fullmatch(entry.name):
            yield Leftover(entry.name, Path(entry.path), ended_at(Path(entry.path)))
        elif APP_ID.fullmatch(entry.name):
            for executor in _folders(Path(entry.path)):
                if _EXECUTOR.fullmatch(executor.name):
                    path = Path(executor.path)
                    yield Leftover(f"{entry.name}/{executor.name}", path, ended_at(path))


def ended_at(folder: Path) -> float:
    """Return when the job ended, as far as its folder shows: the worker changes its time then; or the last output."""
    latest = 0.0
    for path in (folder, folder / "stdout", folder / "stderr"):
        with suppress(OSError):
            latest = max(latest, path.stat(follow_symlinks=False).st_mtime)
    return latest


def _set_aside(bases: Iterable[Path]) -> Iterator[Path]:
    """Yield what an earlier round did not finish."""
    for entry in (entry for base in bases for entry in _folders(base)):
        if is_aside(entry.name):
            yield Path(entry.path)
        elif APP_ID.fullmatch(entry.name):
            yield from (Path(inner.path) for inner in _folders(Path(entry.path)) if is_aside(inner.name))


def _empty_applications(work_dir: Path, before: float) -> Iterator[Path]:
    """Yield the folders of applications without executors' folders, which changed ``before`` then."""
    for entry in _folders(work_dir):
        with suppress(OSError):
            changed = entry.stat(follow_symlinks=False).st_mtime
            if APP_ID.fullmatch(entry.name) and changed < before and not os.listdir(entry.path):  # noqa: PTH208
                yield Path(entry.path)


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    """Return the folders in a folder; none if it cannot be read."""
    with suppress(OSError), os.scandir(folder) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _other_slots(slot: Path) -> list[Path]:
    return [
        Path(entry.path)
        for entry in _folders(slot.parent)
        if entry.name.startswith("worker-") and entry.name != slot.name
    ]


def _active_elsewhere(slot: Path) -> Iterator[str]:
    """Yield the keys of jobs that the keepers of other workers in this work directory may run, from their journals."""
    for other in _other_slots(slot):
        with suppress(OSError):
            booked: set[str] = set()
            for line in reversed((other / "journal").read_text(errors="replace").splitlines()):
                kind, _, rest = line.partition(" ")
                key = rest.partition(" ")[0]
                if kind == ".":
                    booked.add(key)
                elif kind == "?" and key not in booked:
                    driver = driver_of(key)
                    yield driver[0] if driver else key
