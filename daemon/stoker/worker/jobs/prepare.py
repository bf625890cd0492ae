"""Preparation of a job: its directory, and the files in it (spec 11.1, 12.2)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stoker.core.model.values import REMOTE_SCHEMES, Artifact, DriverDescription, Exit
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob
from stoker.io.disk import make_private
from stoker.io.fetch import NO_ROOM
from stoker.io.isolated import isolated
from stoker.worker.jobs.cache import BlobCache
from stoker.worker.jobs.refusal import folder_failure, is_full

FETCHERS = 4  # downloads from URLs, and copies of large uploads, at once
PASSABLE = 0o711  # a folder of the worker with folders of other accounts: they pass through it, and do not list it
SMALL = 4 << 20  # bytes; an upload up to there is copied at once


class UnknownScheme(Exception):
    """The URL of a file has a scheme that workers do not fetch."""


class Preparer:
    """``prepared(key)`` and ``failed(key, exit)`` are called in the loop's thread. ``environ`` holds the variables that
    spark-env exports for jobs; they configure remote file systems and credentials. ``runs_as_others``: jobs may run as other
    accounts, so each attempt has a folder of its own that the keeper hands over (ADR 31)."""

    def __init__(
        self,
        work_dir: Path,
        local_dirs: tuple[Path, ...],
        cache: BlobCache,
        *,
        environ: Mapping[str, str],
        prepared: Callable[[str], None],
        failed: Callable[[str, Exit], None],
        in_loop: Callable[[Callable[[], None]], None],
        runs_as_others: bool = False,
    ) -> None:
        self._work_dir = work_dir
        self._local_dirs = local_dirs
        self._cache = cache
        self._environ = environ
        self._runs_as_others = runs_as_others
        self._prepared = prepared
        self._failed = failed
        self._in_loop = in_loop
        self._waiting: dict[str, set[str]] = {}  # job key -> names of missing files
        self._fetching: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def folder(self, job: AnyJob) -> Path:
        """Return where its output is."""
        if isinstance(job, DriverJob):
            return self._work_dir / job.driver_id
        return self._work_dir / job.app_id / str(job.executor_id)

    def work_folder(self, job: AnyJob) -> Path:
        """Return where it runs, with its files."""
        if not self._runs_as_others:
            return self.folder(job)
        return self.folder(job) / f"attempt-{job.attempt if isinstance(job, DriverJob) else 1}"

    def prepare(self, job: AnyJob) -> None:
        try:
            if isinstance(job, ExecutorJob):
                self._executor_folders(job)
            else:
                self._driver_files(job)
        except OSError as error:
            self.cancel(job.key)
            self._failed(job.key, folder_failure(error))
            return
        except UnknownScheme as error:
            self.cancel(job.key)
            self._failed(job.key, Exit(reason=str(error)))
            return
        except ValueError as error:  # an invalid URL, or NUL in a path
            self.cancel(job.key)
            self._failed(job.key, Exit(reason=f"a file of the driver has a malformed URL: {error}"))
            return
        if job.key in self._waiting and not self._waiting[job.key]:
            del self._waiting[job.key]
            self._prepared(job.key)

    def cancel(self, key: str) -> None:
        self._waiting.pop(key, None)
        for process in self._fetching.pop(key, ()):
            process.kill()

    def _executor_folders(self, job: ExecutorJob) -> None:
        folder = self.folder(job)
        make_private(folder.parent)
        folder.mkdir(mode=0o700)
        for path in self.local_dirs_for(job):
            make_private(path)
        if self._runs_as_others:
            self.work_folder(job).mkdir(mode=0o700)
            for path in (folder.parent, folder, *self.local_dirs_of(job.app_id)):
                path.chmod(PASSABLE)
        self._waiting[job.key] = set()

    def local_dirs_for(self, job: AnyJob) -> list[Path]:
        """Return the executor's scratch folders; none for a driver."""
        if isinstance(job, DriverJob):
            return []
        folders = self.local_dirs_of(job.app_id)
        return [folder / str(job.executor_id) for folder in folders] if self._runs_as_others else folders

    def local_dirs_of(self, app_id: str) -> list[Path]:
        """Return the scratch folders of an application."""
        return [base / f"stoker-{app_id}" for base in self._local_dirs]

    def _driver_files(self, job: DriverJob) -> None:
        folder = self.work_folder(job)
        make_private(folder)
        if self._runs_as_others:
            folder.parent.chmod(PASSABLE)
        waiting = self._waiting[job.key] = {artifact.name for artifact in job.driver.artifacts}
        for artifact in job.driver.artifacts:
            target = folder / artifact.name
            if os.path.lexists(target):  # left by an earlier attempt
                waiting.discard(artifact.name)
            elif artifact.sha256:
                self._place_upload(job.key, artifact, target)
            else:
                self._place_url(job.key, job.driver, artifact, target)
            if job.key not in self._waiting:
                return  # it has failed

    def _arrived(self, key: str, name: str, problem: Exit | None) -> None:
        """Note that one file has arrived or cannot be fetched. Called in the loop's thread."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        if problem is not None:
            self.cancel(key)
            self._failed(key, problem)
            return
        waiting.discard(name)
        if not waiting:
            del self._waiting[key]
            self._fetching.pop(key, None)
            self._prepared(key)

    # --- uploads ---

    def _place_upload(self, key: str, artifact: Artifact, target: Path) -> None:
        if self._cache.path(artifact.sha256) is not None:
            self._copy_upload(key, artifact, target)
            return

        def fetched(problem: Exit | None) -> None:
            if problem is None and key in self._waiting:
                self._copy_upload(key, artifact, target)
            else:
                self._arrived(key, artifact.name, problem)

        self._cache.fetch(artifact.sha256, artifact.size, fetched)

    def _copy_upload(self, key: str, artifact: Artifact, target: Path) -> None:
        """Copy a file from the cache; a large one in a thread, so that the loop goes on."""

        def copied() -> Exit | None:
            try:
                is_copied = self._cache.copy(artifact.sha256, target)
            except OSError as error:
                return folder_failure(error)
            return None if is_copied else Exit(reason="the upload vanished from this worker's cache", refused=True)

        if artifact.size > SMALL:
            self._in_thread(lambda: self._report(key, artifact.name, copied()))
        else:
            self._arrived(key, artifact.name, copied())

    def _report(self, key: str, name: str, problem: Exit | None) -> None:
        self._in_loop(lambda: self._arrived(key, name, problem))

    def _in_thread(self, work: Callable[[], None]) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        self._pool.submit(work)

    # --- URLs ---

    def _place_url(self, key: str, driver: DriverDescription, artifact: Artifact, target: Path) -> None:
        parts = urlsplit(artifact.url)
        # The worker must not copy a file that the job's account cannot read.
        if parts.scheme == "local" or (parts.scheme == "file" and self._runs_as_others):
            target.symlink_to(unquote(parts.path))
            self._waiting[key].discard(artifact.name)
            return
        if parts.scheme not in ("file", *REMOTE_SCHEMES):
            known = ", ".join(REMOTE_SCHEMES)
            raise UnknownScheme(f"cannot fetch {artifact.url}: its URL scheme is none of file, local, {known}")

        def work() -> None:
            if parts.scheme == "file":
                problem = _copy(Path(unquote(parts.path)), target, artifact)
            else:
                problem = self._fetch(key, artifact, target, _credentials(driver))
            self._report(key, artifact.name, problem)

        self._in_thread(work)

    def _fetch(self, key: str, artifact: Artifact, target: Path, credentials: Mapping[str, str]) -> Exit | None:
        """Run the fetching process and wait for it, in a thread; ``cancel`` kills the process."""
        try:
            process = subprocess.Popen(
                isolated("stoker.io.fetch", artifact.url, str(target), path=self._environ.get("PYTHONPATH", "")),
                env={**os.environ, **self._environ, **credentials},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            return Exit(
                reason=f"cannot start a process to fetch {artifact.url}: {error.strerror}", refused=is_full(error)
            )
        self._in_loop(lambda: self._fetch_started(key, process))
        output, _ = process.communicate()
        if process.returncode != 0:
            lines = output.decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"cannot fetch {artifact.url}: it was interrupted"
            return Exit(reason=reason, refused=process.returncode == NO_ROOM)
        if artifact.executable:
            target.chmod(0o755)
        return None

    def _fetch_started(self, key: str, process: subprocess.Popen[bytes]) -> None:
        if key in self._waiting:
            self._fetching.setdefault(key, []).append(process)
        else:
            process.kill()

    def close(self) -> None:
        for key in list(self._fetching):
            self.cancel(key)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _credentials(driver: DriverDescription) -> dict[str, str]:
    """Return the submitter's variables, given with ``--env``: the submitter's files are read with the submitter's
    rights."""
    return {name: value for name, value in driver.env.items() if name.startswith("AWS_") or name == "HADOOP_USER_NAME"}


def _copy(source: Path, target: Path, artifact: Artifact) -> Exit | None:
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copy2(source, part)
        if artifact.executable:
            part.chmod(part.stat().st_mode | 0o111)
        part.rename(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        return Exit(reason=f"cannot copy {artifact.url} on this worker: {error.strerror}", refused=is_full(error))
    except ValueError as error:  # NUL in the path
        return Exit(reason=f"cannot copy {artifact.url} on this worker: {error}")
    return None
