"""Folders of jobs that belong to other accounts: the keeper measures and clears them, with the rights of these accounts
(ADR 31)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

from stoker.worker.jobs.folders import NotMeasured, disk_used
from stoker.worker.keeper.messages import Clear, Cleared, Measure, Measured


class OthersFolders:
    """Asks the keeper, in threads, and waits for its answers. ``say`` sends to the keeper."""

    def __init__(self, say: Callable[[Clear | Measure], None], in_loop: Callable[[Callable[[], None]], None]) -> None:
        self._say, self._in_loop = say, in_loop
        self._waiting: dict[tuple[str, str], SimpleQueue[int]] = {}
        self._stopping = False

    def clear(self, folder: str, *, within: float) -> bool:
        """Return whether the keeper has cleared the folder, as far as it can."""
        return self._ask({"op": "clear", "folder": folder}, "cleared", within) is not None

    def disk_used(self, folder: Path, *, within: float) -> int:
        """Return the bytes on disk that a job's folder takes, with the folders of other accounts in it. Raises
        NotMeasured."""
        used = disk_used(folder, within=within)
        for inner in _of_others(folder):
            found = self._ask({"op": "measure", "folder": inner}, "measured", within)
            if found is None or found < 0:
                raise NotMeasured(f"the keeper cannot measure {inner}")
            used += found
        return used

    def _ask(self, message: Clear | Measure, answered_by: str, within: float) -> int | None:
        """Return the keeper's answer; None if there is none in time."""
        answer: SimpleQueue[int] = SimpleQueue()

        def ask() -> None:
            self._waiting[answered_by, message["folder"]] = answer
            self._say(message)

        if self._stopping:
            return None
        self._in_loop(ask)
        try:
            return answer.get(timeout=within)
        except Empty:
            return None

    def answered(self, message: Cleared | Measured) -> None:
        """Pass on an answer of the keeper. Called in the loop's thread, as ``close``."""
        self._answer(message["op"], message["folder"], message["bytes"] if message["op"] == "measured" else 0)

    def _answer(self, kind: str, folder: str, found: int) -> None:
        if (answer := self._waiting.pop((kind, folder), None)) is not None:
            answer.put(found)

    def close(self) -> None:
        self._stopping = True
        for kind, folder in list(self._waiting):
            self._answer(kind, folder, -1)


def _of_others(folder: Path) -> list[str]:
    """Return the folders of other accounts in a job's folder, where the worker made them."""
    try:
        entries = list(os.scandir(folder))
        return [e.path for e in entries if e.is_dir(follow_symlinks=False) and _owner(e) != os.geteuid()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotMeasured(f"{folder}: {error.strerror}") from None


def _owner(entry: os.DirEntry[str]) -> int:
    return entry.stat(follow_symlinks=False).st_uid
