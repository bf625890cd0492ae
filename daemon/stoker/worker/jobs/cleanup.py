"""Old work directories (spark.worker.cleanup.*, spec 12.7): those of ended jobs without recent files."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from stoker.core.model.values import APP_ID, DRIVER_ID

LOG = logging.getLogger("stoker.worker")


def clean(work_dir: Path, ttl: float, is_active: Callable[[str], bool]) -> list[str]:
    """Remove directories that are inactive and older than ``ttl`` seconds; return their names. Runs in a thread."""
    limit = time.time() - ttl
    removed = []
    for entry in list(os.scandir(work_dir)) if work_dir.is_dir() else []:
        name = entry.name
        if not entry.is_dir(follow_symlinks=False) or not (APP_ID.fullmatch(name) or DRIVER_ID.fullmatch(name)):
            continue
        if is_active(name) or _newest(Path(entry.path)) >= limit or is_active(name):
            continue
        shutil.rmtree(entry.path, ignore_errors=True)
        removed.append(name)
    if removed:
        LOG.info("removed %d old work directories", len(removed))
    return removed


def _newest(folder: Path) -> float:
    """Return when a file in the folder was last written."""
    newest = folder.stat().st_mtime
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                newest = max(newest, (Path(parent) / name).lstat().st_mtime)
            except FileNotFoundError:
                continue
    return newest
