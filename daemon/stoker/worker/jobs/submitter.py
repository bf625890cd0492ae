"""Jobs that run as their submitters: what the worker asks its keeper for, and the folders it prepares (ADR 31)."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from stoker.config.worker import WorkerConfig
from stoker.core.worker.jobs import AnyJob, DriverJob
from stoker.errors import ConfigError
from stoker.worker.keeper.messages import RunAs

RUN_AS = {  # in words
    "off": "one account: jobs can read each other's files (docs/run-as.md)",
    "mapped": "their submitters' accounts; those without one as the worker's, and read what it reads",
    "required": "their submitters' accounts",
}
_OF_THE_DAEMON = frozenset({"HOME", "USER", "LOGNAME", "TMPDIR", "STOKER_KEYS_DIR", "STOKER_STATE_DIR"})


class Submitters:
    """``environ`` is what jobs of the daemon's own account inherit."""

    def __init__(self, mode: str, environ: Mapping[str, str]) -> None:
        self._mode = mode
        own = _OF_THE_DAEMON if self.are_accounts else frozenset()
        self.environ = {name: value for name, value in environ.items() if name not in own}
        self._of_daemon = {name: value for name, value in environ.items() if name in own}

    @property
    def are_accounts(self) -> bool:
        """Whether jobs may run as other accounts."""
        return self._mode != "off"

    def request(self, job: AnyJob, folders: Iterable[Path]) -> RunAs:
        """Return what the keeper must know. ``folders`` are the job's own."""
        pool = job.driver.pool if isinstance(job, DriverJob) else job.app.pool
        return {
            "principal": job.principal or "",
            "pool": pool,
            "required": self._mode == "required",
            "folders": [str(folder) for folder in folders],
            "environment": dict(self._of_daemon),
        }


def open_ways(config: WorkerConfig, has_starter: bool) -> None:
    """Check that jobs can run as other accounts, and that these can reach their folders. Raises ConfigError."""
    if config.run_as == "off":
        return
    if os.geteuid() == 0:
        raise ConfigError(
            "spark.stoker.worker.runAs: a worker that runs as root cannot protect anything: give its unit an account"
            " (User=) and the capabilities of docs/run-as.md"
        )
    if not has_starter:
        raise ConfigError(
            f"spark.stoker.worker.runAs {config.run_as}: this worker has no capabilities to run jobs as other accounts:"
            " set stoker_run_as in the inventory and start it as a systemd service (docs/run-as.md)"
        )
    _check_program()
    for folder in (config.state_dir, config.work_dir, *config.local_dirs):
        _make_passable(folder)


def _check_program() -> None:
    """Check that the worker's account cannot change the program of the keeper, which has capabilities that the worker lacks.
    Raises ConfigError."""
    program = Path(__file__).resolve().parents[1] / "keeper" / "keeper.py"
    for file in (
        program,
        Path(sys.executable).absolute(),
        Path(sys.executable).resolve(),
        Path(sys.base_prefix, "lib"),
    ):
        for path in (file, *file.parents):
            if path.stat().st_uid == os.geteuid():
                raise ConfigError(
                    f"spark.stoker.worker.runAs: the worker's account owns {path}, so it could change the program that has"
                    f" capabilities: let root own Stoker and its Python (chown -R root {path})"
                )


def _make_passable(folder: Path) -> None:
    """Let other accounts pass through the folder, and check that they can pass through those above it. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid == os.geteuid() and not status.st_mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXGRP | stat.S_IXOTH)
        closed = [path for path in (folder, *folder.parents) if not path.stat().st_mode & stat.S_IXOTH]
    except OSError as error:
        raise ConfigError(f"cannot use {error.filename or folder}: {error.strerror}") from None
    if closed:
        raise ConfigError(
            f"spark.stoker.worker.runAs: other accounts cannot reach {folder}: chmod o+x {closed[-1]}, or choose another"
            " folder (SPARK_WORKER_DIR, SPARK_LOCAL_DIRS)"
        )
