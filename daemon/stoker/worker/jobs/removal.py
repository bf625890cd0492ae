"""Remove folders of jobs. The keeper clears those that belong to the accounts of submitters, as these accounts (ADR 31)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from stoker.worker.jobs import folders
from stoker.worker.jobs.prepare import PASSABLE
from stoker.worker.keeper.messages import Clear

_CLEARED_WITHIN = 3600.0  # seconds


class FolderRemoval:
    """``say`` sends to the keeper. ``has_accounts``: there may be folders of other accounts."""

    def __init__(
        self, say: Callable[[Clear], None], in_loop: Callable[[Callable[[], None]], None], *, has_accounts: bool
    ) -> None:
        self._say, self._in_loop, self._has_accounts = say, in_loop, has_accounts
        self._waiting: dict[str, SimpleQueue[None]] = {}
        self._stopping = False

    def remove(self, path: Path) -> None:
        """Remove a folder that was set aside. Called in a thread of its own. Never raises."""
        if self._has_accounts and not self._stopping:
            for folder in _of_others(path):
                self._clear(folder)
        folders.remove(path)

    def _clear(self, folder: str) -> None:
        """Have the keeper clear a folder, and wait for it."""
        answer: SimpleQueue[None] = SimpleQueue()

        def ask() -> None:
            self._waiting[folder] = answer
            self._say({"op": "clear", "folder": folder})

        self._in_loop(ask)
        with suppress(Empty, OSError):
            answer.get(timeout=_CLEARED_WITHIN)
            os.rmdir(folder)  # noqa: PTH106

    def cleared(self, folder: str) -> None:
        """Note that the keeper has cleared a folder, as far as it can. Called in the loop's thread, as ``close``."""
        if (answer := self._waiting.pop(folder, None)) is not None:
            answer.put(None)

    def close(self) -> None:
        self._stopping = True
        for folder in list(self._waiting):
            self.cleared(folder)


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
