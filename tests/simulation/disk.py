"""The file of a keeper's journal on a simulated disk. A process that dies leaves it as it is; a power cut may lose what
was not synced."""

from __future__ import annotations

import errno

from stoker.worker.keeper.journal import JournalFile
from tests.simulation.world import World


class NotesFile(JournalFile):
    def __init__(self, world: World) -> None:
        self._world = world
        self._data = self._durable = b""
        self._written: dict[str, float] = {}  # key -> when its end was written
        self.is_full = False
        self.is_old = False  # the keeper is one of 0.1.0, which notes only running jobs

    def read(self) -> bytes:
        return self._data

    def append(self, data: bytes) -> None:
        self._must_fit()
        self._data += self._of_release(data)
        self._note_ends()

    def replace(self, data: bytes, *, durable: bool) -> None:
        self._must_fit()
        self._data = self._of_release(data)
        if durable:
            self._durable = self._data
        self._note_ends()

    def sync(self) -> None:
        self._durable = self._data

    def _of_release(self, data: bytes) -> bytes:
        if not self.is_old:
            return data
        return b"".join(line for line in data.splitlines(keepends=True) if line[:1] in (b"+", b"-"))

    def _must_fit(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def power_cut(self) -> None:
        """A part of what was not synced may have reached the disk, and the last line may be torn."""
        rng = self._world.rng
        if self._data.startswith(self._durable):
            kept = rng.choice((len(self._durable), rng.randint(len(self._durable), len(self._data)), len(self._data)))
            self._data = self._data[:kept]
        else:  # the file was replaced
            self._data = rng.choice((self._durable, self._data))
        self._durable = self._data
        self._note_ends()

    def ends(self) -> dict[str, float]:
        """Return the keys of the jobs whose end is in the file and not marked as booked, and when each end was written."""
        found: dict[str, float] = {}
        for line in self._data.decode().split("\n")[:-1]:
            words = line.split(" ")
            if words[0] == "=":
                found[words[1]] = self._written.get(words[1], self._world.now)
            elif words[0] == ".":
                found.pop(words[1], None)
        return found

    def _note_ends(self) -> None:
        self._written = self.ends()
