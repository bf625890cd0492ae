"""The daemon's end of a keeper's socket, played by a test, and the processes of its jobs."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, cast

from stoker.io.loop import Loop
from stoker.worker.keeper.link import KeeperLink
from stoker.worker.keeper.messages import FromKeeper, Spawn
from tests.support.processes import alive
from tests.support.wait import wait_until


class PlayedDaemon:
    """Plays the worker daemon."""

    made: ClassVar[list[PlayedDaemon]] = []

    def __init__(self, slot: Path) -> None:
        self.made.append(self)
        self.slot = slot
        self.heard: list[dict[str, Any]] = []
        self.lost = False
        self.loop = Loop()
        self.link = KeeperLink(self.loop, slot, on_message=self._hear, on_lost=self._lost)

    def _hear(self, message: FromKeeper) -> None:
        self.heard.append({**message})

    def _lost(self) -> None:
        self.lost = True

    def open(self, away: float = 5.0, silence: float = 60.0, grace: float = 0.5) -> None:
        self.link.open(away=away, silence=silence, grace=grace)

    def pump(self) -> None:
        """Poll once, without waiting, and handle what is there."""
        rounds = iter((time.monotonic(), None))

        def on_round() -> float | None:
            deadline = next(rounds)
            if deadline is None:
                self.loop.stop()
            return deadline

        self.loop.run(on_round)
        self.link.flush()

    def expect(self, op: str, key: str | None = None, within: float = 30.0) -> dict[str, Any]:
        return self.expect_one_of((op,), key, within)

    def expect_one_of(self, ops: Collection[str], key: str | None = None, within: float = 30.0) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            self.pump()
            for message in self.heard:
                if message["op"] in ops and key in (None, message.get("key")):
                    self.heard.remove(message)
                    return message
            return None

        return wait_until(found, within=within, what=f"{' or '.join(ops)} {key}")

    def spawn(self, key: str, *argv: str, **more: Any) -> None:
        folder = self.slot / "jobs"
        folder.mkdir(exist_ok=True)
        request = {
            "op": "spawn",
            "key": key,
            "argv": list(argv),
            "env": {"PATH": os.environ["PATH"], "MARK": str(self.slot)},
            "cwd": str(folder),
            "stdout": str(folder / f"{key}.out"),
            "stderr": str(folder / f"{key}.err"),
            "header": "header\n",
            "note": f"note of {key}",
        }
        self.link.say(cast("Spawn", {**request, **more}))

    def close(self) -> None:
        self.link.close()


def marked(slot: Path) -> list[int]:
    """Return the processes of this slot's jobs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"MARK={slot}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return [pid for pid in found if alive(pid)]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def ticks() -> int:
    """Return the present time, in the unit of start times."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def sleeping(seconds: str) -> list[int]:
    """Return the processes that sleep that long, whatever their environment is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
