"""The common part of all simulated daemons: they live, freeze, die at any effect boundary, and work in rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stoker.core.model.values import Now
from tests.simulation.network import Arrival, Connection, Network
from tests.simulation.world import Host, Timer, World


class Crash(Exception):
    """The process is killed (kill -9), here and now."""


class Node:
    """A daemon with an inbox. Subclasses do a round's work in ``work`` and name the next deadline."""

    def __init__(self, world: World, network: Network, host: Host, name: str) -> None:
        self.world, self.network, self.host, self.name = world, network, host, name
        self.is_alive = self.is_frozen = False
        self.incarnation = 0
        self.inbox: list[tuple[Connection, Arrival]] = []
        self.crash_in: int | None = None  # effect boundaries until it dies
        self.freeze_in: tuple[int, float] | None = None  # boundaries until it freezes, and for how long
        self._next_round: Timer | None = None
        self._next_at = 0.0
        self._on_thaw: list[Callable[[], None]] = []

    # --- clocks ---

    def now(self) -> Now:
        return Now(self.host.mono(), self.host.wall())

    # --- life ---

    def start(self) -> None:
        """Start it, unless it runs already or its host has no power."""
        if self.is_alive or not self.host.is_up:
            return
        self.is_alive, self.is_frozen = True, False
        self.incarnation += 1
        self.crash_in = self.freeze_in = None
        self.inbox.clear()
        self._on_thaw.clear()
        self.world.note(self.name, "starts")
        self.started()
        self.wake()

    def die(self, why: str) -> None:
        if not self.is_alive:
            return
        self.world.note(self.name, "dies:", why)
        self.is_alive = self.is_frozen = False
        if self._next_round is not None:
            self._next_round.cancel()
            self._next_round = None
        self.network.process_died(self)
        self.died()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        if not self.is_alive or self.is_frozen:
            return
        self.world.note(self.name, f"freezes for {seconds:.1f} s")
        self.is_frozen = True
        self.host.doubt(self.world.now + seconds)
        incarnation = self.incarnation
        self.world.after(seconds, lambda: self._thaw(incarnation))

    def _thaw(self, incarnation: int) -> None:
        if not self.is_alive or not self.is_frozen or self.incarnation != incarnation:
            return
        self.world.note(self.name, "goes on")
        self.is_frozen = False
        waiting, self._on_thaw = self._on_thaw, []
        for call in waiting:
            call()
        self.wake()

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Call it in this process, only while it runs, and not if it has died since."""
        incarnation = self.incarnation

        def run() -> None:
            if not self.is_alive or self.incarnation != incarnation:
                return
            if self.is_frozen:
                self._on_thaw.append(run)
                return
            try:
                call()
            except Crash:
                self.die("crash")

        self.world.after(delay, run)

    def boundary(self) -> float:
        """Pass a boundary between two effects: die here if that is due; return for how long the process freezes here."""
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                raise Crash
        if self.freeze_in is not None:
            left, seconds = self.freeze_in
            self.freeze_in = (left - 1, seconds) if left > 0 else None
            if left <= 0:
                return seconds
        return 0.0

    # --- rounds ---

    def arrived(self, connection: Connection, item: Arrival) -> None:
        self.inbox.append((connection, item))
        self.wake()

    def wake(self, delay: float = 0.0002) -> None:
        self.round_at(self.world.now + delay)

    def round_at(self, when: float) -> None:
        """Have a round at that time, or earlier."""
        if not self.is_alive:
            return
        if self._next_round is not None:
            if self._next_at <= when:
                return
            self._next_round.cancel()
        self._next_at = when
        self._next_round = self.world.at(when, self._run)

    def round_by(self, mono: float) -> None:
        """Like ``round_at``, in this process's own time."""
        if mono != float("inf"):
            self.round_at(max(self.world.now + 0.0002, self.host.true_time(mono)))

    def _run(self) -> None:
        self._next_round = None
        if self.is_frozen:
            return  # the thaw wakes it
        try:
            self.work()
        except Crash:
            self.die("crash")

    def take_inbox(self) -> list[tuple[Connection, Arrival]]:
        items, self.inbox = self.inbox, []
        return items

    # --- for subclasses ---

    def started(self) -> None:
        raise NotImplementedError

    def died(self) -> None:
        """Clean up what ends with the process."""

    def work(self) -> Any:
        raise NotImplementedError
