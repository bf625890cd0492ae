"""Files that workers derive from installed software and keep in ``FOLDER/KEY/``, for all workers that share the folder.

An entry is made in a *workshop* and moved here atomically, even across a power cut. All of this may take a while, and
runs in a thread.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from stoker.io.disk import to_disk

ABANDONED = 24 * 3600.0  # seconds until a folder in which somebody made something goes


class Store:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, key: str) -> Path:
        return self._folder / key

    def workshop(self, key: str, worker: str) -> Path:
        """Return an empty folder in which ``worker`` (its slot's name) makes an entry. Raises OSError."""
        path = self._folder / f"{key}.{worker}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True, mode=0o700)
        return path

    def keep(self, key: str, whole: Path) -> None:
        """Move a new folder into the store; if another worker was faster, keep that one. Raises OSError."""
        for path in [*whole.rglob("*"), whole]:
            if not path.is_symlink():
                to_disk(path)
        with contextlib.suppress(OSError):  # it is there
            whole.rename(self.path(key))
        to_disk(self._folder)

    def remove(self, key: str) -> None:
        """Remove an entry atomically: one that a killed worker has begun to remove is not found again."""
        going = self.path(f"{key}.removed")
        shutil.rmtree(going, ignore_errors=True)
        with contextlib.suppress(OSError):  # it is not there
            self.path(key).rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def prune(self, is_current: Callable[[str], bool]) -> list[str]:
        """Remove invalid entries; return the keys of the others. Raises OSError."""
        if not self._folder.is_dir():
            return []
        kept = []
        for path in self._folder.iterdir():
            if "." in path.name:  # a workshop
                if path.stat().st_mtime < time.time() - ABANDONED:
                    self.remove(path.name)
            elif is_current(path.name):
                kept.append(path.name)
            else:
                self.remove(path.name)
        return kept
