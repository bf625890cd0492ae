"""Things that workers make of what is installed and keep: ``FOLDER/KEY/``, for all workers that share the folder.

One is made in a *workshop* and comes here whole or not at all, also when the power goes. All of this may take a while, and
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
        """An empty folder where ``worker`` (its slot's name) makes that thing. Raises OSError."""
        path = self._folder / f"{key}.{worker}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True, mode=0o700)
        return path

    def keep(self, key: str, whole: Path) -> None:
        """Take a folder that was just made; if another worker was faster, its own stays. Raises OSError."""
        for path in [*whole.rglob("*"), whole]:
            if not path.is_symlink():
                to_disk(path)
        with contextlib.suppress(OSError):  # it is there
            whole.rename(self.path(key))
        to_disk(self._folder)

    def remove(self, key: str) -> None:
        """It goes whole, too: what a killed worker has begun to remove is not found any more."""
        going = self.path(f"{key}.removed")
        shutil.rmtree(going, ignore_errors=True)
        with contextlib.suppress(OSError):  # it is not there
            self.path(key).rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def prune(self, is_current: Callable[[str], bool]) -> list[str]:
        """Remove what is not; the keys of the others. Raises OSError."""
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
