"""The files of a worker's jobs: fetched and prepared before a job starts, removed when nobody needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from stoker.config.worker import WorkerConfig
from stoker.core.model.messages import BlobData, Message
from stoker.core.model.values import Exit
from stoker.core.worker.jobs import AnyJob
from stoker.worker.jobs.cache import BlobCache
from stoker.worker.jobs.disk import DiskWatch, limited
from stoker.worker.jobs.housekeeping import Housekeeping
from stoker.worker.jobs.others import OthersFolders
from stoker.worker.jobs.prepare import Preparer
from stoker.worker.jobs.removal import FolderRemoval
from stoker.worker.keeper.messages import Clear, Measure


class JobFiles:
    """``ask`` sends to the master that uploads are fetched from, False if there is none. ``prepared(key)`` and
    ``failed(key, exit)`` are called in the loop's thread, and ``disk_used(key, bytes)`` for jobs with a disk limit. ``slot``
    is the worker's own folder; ``say`` sends to the keeper.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        ask: Callable[[Message], bool],
        prepared: Callable[[str], None],
        failed: Callable[[str, Exit], None],
        jobs: Callable[[], Iterable[AnyJob]],
        disk_used: Callable[[str, int], None],
        slot: Path,
        say: Callable[[Clear | Measure], None],
        in_loop: Callable[[Callable[[], None]], None],
    ) -> None:
        self._cache = BlobCache(config.work_dir / ".stoker" / "cache", ask)
        self.preparer = Preparer(
            config.work_dir,
            config.local_dirs,
            self._cache,
            environ=config.job_environ,
            prepared=prepared,
            failed=failed,
            in_loop=in_loop,
            runs_as_others=config.run_as != "off",
        )
        self._jobs = jobs
        self.others = OthersFolders(say, in_loop)
        others = self.others if config.run_as != "off" else None
        remove = FolderRemoval(others).remove
        self._housekeeping = Housekeeping(
            config, self._cache, self.preparer, slot=slot, jobs=jobs, in_loop=in_loop, remove=remove
        )
        self._disk = DiskWatch(used=disk_used, in_loop=in_loop, others=others)
        self._master: str | None = None  # address of the one that uploads are fetched from
        self.received: Callable[[BlobData], None] = self._cache.received
        self.application_over = self._housekeeping.application_over
        self.ended = self._housekeeping.ended
        self.clean_soon = self._housekeeping.clean_soon

    def follow(self, master: str | None) -> None:
        """Fetch uploads from this master from now on. Connections to other masters do not matter here."""
        if self._master != master:
            self._master = master
            self._cache.master_changed()

    def look(self, now: float) -> None:
        """Remove what nobody needs, and measure what jobs hold that have a disk limit. ``now`` is monotonic."""
        self._housekeeping.look(now)
        self._disk.look(now, lambda: limited(self._jobs(), self.preparer.folder, self.preparer.local_dirs_of))

    def next_deadline(self) -> float:
        return min(self._housekeeping.next_deadline(), self._disk.next_deadline())

    def close(self) -> None:
        self._disk.close()
        self.others.close()
        self._housekeeping.close()
        self.preparer.close()
