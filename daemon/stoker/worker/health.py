"""Measures whether this host is well: room on its disks, the operator's health script, and probes after refusals.

A thread of its own does it, because a disk may hang. The worker registers after the first measurement, so that nothing is
placed on a host that is known to be unwell.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stoker.config.worker import HealthConfig, MinFree
from stoker.core.model.values import Unfit
from stoker.worker.script import ScriptFailed, kill_group, printable_lines, run

DISK_EVERY = 10.0  # seconds between two measurements of the disks
PROBE_EVERY = 5.0
SCRIPT_WITHIN = 30.0  # seconds; less where the interval is shorter
FIRST_WITHIN = 35.0  # seconds after which the worker registers without a measurement
_MORE_ROOM = 1.2  # times the limit must be free before a disk counts as well again
_PROBE_BYTES = 65536


class HostWatch:
    """``measured`` and ``probed`` are called in the loop's thread: with what is wrong, and when a probe succeeded.
    ``folders`` are the worker's own."""

    def __init__(
        self,
        config: HealthConfig,
        folders: Sequence[Path],
        environ: Mapping[str, str],
        *,
        measured: Callable[[tuple[Unfit, ...]], None],
        probed: Callable[[], None],
        in_loop: Callable[[Callable[[], None]], None],
    ) -> None:
        self._config, self._folders, self._environ = config, tuple(folders), dict(environ)
        self._measured, self._probed, self._in_loop = measured, probed, in_loop
        self._since: dict[str, float] = {}
        self._wants_probe = False
        self._wake = threading.Event()
        self._stopping = False
        self._script: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()
        self.is_known = False  # whether the first measurement has ended
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)
        self._thread.start()

    @property
    def may_register(self) -> bool:
        return self.is_known or time.monotonic() > self._began + FIRST_WITHIN

    def want_probe(self, wanted: bool) -> None:
        """Probe from now on, or no longer. Called in the loop's thread."""
        if wanted != self._wants_probe:
            self._wants_probe = wanted
            self._wake.set()

    def close(self) -> None:
        self._stopping = True
        self._wake.set()
        if (script := self._script) is not None:
            kill_group(script)

    # --- the thread ---

    def _watch(self) -> None:
        disk_at = script_at = probe_at = 0.0
        disk: list[Unfit] = []
        health: list[Unfit] = []
        while not self._stopping:
            now = time.monotonic()
            if now >= disk_at:
                disk_at = now + min(DISK_EVERY, self._config.interval)
                disk = self._disks()
            if now >= script_at and self._config.script is not None:
                health = self._health(self._config.script)
                script_at = time.monotonic() + self._config.interval
            self._report((*disk, *health))
            if self._wants_probe and time.monotonic() >= probe_at:
                probe_at = time.monotonic() + PROBE_EVERY
                self._probe()
            next_at = min(disk_at, script_at if self._config.script else disk_at)
            next_at = min(next_at, probe_at) if self._wants_probe else next_at
            self._wake.wait(max(0.05, next_at - time.monotonic()))
            self._wake.clear()

    def _report(self, found: tuple[Unfit, ...]) -> None:
        def tell() -> None:
            self.is_known = True
            if not self._stopping:
                self._measured(found)

        self._in_loop(tell)

    def _unfit(self, kind: str, problem: str) -> list[Unfit]:
        """Return the reason, with the time since when it holds; nothing without a problem."""
        if not problem:
            self._since.pop(kind, None)
            return []
        return [Unfit(kind=kind, text=problem, since=self._since.setdefault(kind, time.time()))]

    def _disks(self) -> list[Unfit]:
        limit = self._config.min_free
        if limit is None:
            return []
        was_short = "disk" in self._since
        problems = [shortage(folder, limit, 1.0 if not was_short else _MORE_ROOM) for folder in self._folders]
        return self._unfit("disk", next(filter(None, problems), ""))

    def _health(self, script: Path) -> list[Unfit]:
        within = min(SCRIPT_WITHIN, self._config.interval)
        return self._unfit("health", run_script(script, self._environ, within, self._remember))

    def _remember(self, script: subprocess.Popen[bytes] | None) -> None:
        self._script = script
        if script is not None and self._stopping:
            kill_group(script)

    def _probe(self) -> None:
        if probe(self._folders):
            self._in_loop(lambda: None if self._stopping else self._probed())


def shortage(folder: Path, limit: MinFree, factor: float = 1.0) -> str:
    """Return in words how little room the folder's disk has; "" if it has ``factor`` times the limit, or was removed (the
    worker makes its folders again). Both limits must be undercut: a percentage alone would waste a large disk, bytes alone
    would reject a small one."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if there is None:
        return ""
    try:
        status = os.statvfs(there)
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    percent = 100 * free / total if total else 100.0
    if free >= factor * limit.size or percent >= factor * limit.percent:
        return ""
    return f"{folder} has {free // 2**20} MiB free ({percent:.0f} %)"


def run_script(
    script: Path,
    environ: Mapping[str, str],
    within: float,
    running: Callable[[subprocess.Popen[bytes] | None], None] = lambda _: None,
) -> str:
    """Run a health script: return "" if it exits with 0, else one line that says what is wrong. The script and all that it
    started are killed at the end, after ``within`` seconds at the latest."""
    name = f"health check {script}"
    try:
        ran = run([str(script)], within=within, environ=environ, running=running)
    except ScriptFailed as error:
        return f"{name} {error}"
    if ran.code == 0:
        return ""
    said = next(iter(printable_lines(ran.printed) or printable_lines(ran.said)), "")
    if ran.code is None:
        return f"{name} has not ended after {within:g} s" + (f": {said}" if said else "")
    return f"{name}: {said}" if said else f"{name} failed with exit code {ran.code}, without a word"


def probe(folders: Sequence[Path]) -> bool:
    """Return whether this host could start a job: its folders take a file, and a process can be started."""
    try:
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            trial = Path(tempfile.mkdtemp(prefix=".probe-", dir=folder))
            try:
                (trial / "file").write_bytes(bytes(_PROBE_BYTES))
            finally:
                shutil.rmtree(trial, ignore_errors=True)
        done = subprocess.run(
            ["true"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
