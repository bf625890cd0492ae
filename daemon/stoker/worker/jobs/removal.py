"""Remove folders of jobs. The keeper clears those that belong to the accounts of submitters, as these accounts (ADR 31)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from stoker.worker.jobs import folders
from stoker.worker.jobs.others import OthersFolders
from stoker.worker.jobs.prepare import PASSABLE

_CLEARED_WITHIN = 3600.0  # seconds


class FolderRemoval:
    """``others``: the folders of other accounts; None if there are none."""

    def __init__(self, others: OthersFolders | None) -> None:
        self._others = others

    def remove(self, path: Path) -> None:
        """Remove a folder that was set aside. Called in a thread of its own. Never raises."""
        if self._others is not None:
            for folder in _of_others(path):
                if self._others.clear(folder, within=_CLEARED_WITHIN):
                    with suppress(OSError):
                        os.rmdir(folder)  # noqa: PTH106
        folders.remove(path)


def _of_others(path: Path) -> list[str]:
    """Return the uppermost folders in it that belong to other accounts, and let these accounts reach them."""
    found = []
    for parent, names, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(parent, PASSABLE)  # noqa: PTH101
        for name in list(names):
            folder = os.path.join(parent, name)  # noqa: PTH118
            with suppress(OSError):
                if os.lstat(folder).st_uid != os.geteuid():
                    found.append(folder)
                    names.remove(name)
    return found
