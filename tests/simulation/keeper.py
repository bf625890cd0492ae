"""A worker's keeper, the real ``stoker.worker.keeper`` on a simulated operating system, and its processes."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import stoker.worker.keeper.keeper
from stoker.worker.keeper.journal import Journal
from stoker.worker.keeper.messages import FIRST_RELEASE
from tests.simulation.checks import Checks
from tests.simulation.disk import NotesFile
from tests.simulation.world import Host, Timer, World


class Daemon(Protocol):
    """The worker daemon's end of the connection to its keeper."""

    def from_keeper(self, message: dict[str, Any]) -> None: ...

    def keeper_lost(self) -> None: ...


@dataclass(eq=False)
class Program:
    """A running job. ``argv`` is ("job", seconds until it ends by itself, exit code)."""

    key: str
    pid: int
    cores: int
    addresses: frozenset[tuple[str, str]]  # of named resources, with their names
    machine: Machine
    end: Timer | None = None
    is_alive: bool = True


class Machine:
    """The processes of one worker host, and the journal of its keepers."""

    def __init__(self, world: World, host: Host, checks: Checks, cores: int) -> None:
        self.world, self.host, self.checks, self.cores = world, host, checks, cores
        self.programs: dict[int, Program] = {}
        self.keeper: SimulatedKeeper | None = None
        self.at_next_start: Callable[[], None] | None = None  # a fault
        self.at_next_end: Callable[[], None] | None = None  # another one
        self.boot = 0
        self.is_old = False  # the installed release is 0.1.0
        self.notes = NotesFile(world)  # the keepers' journal
        self._next_pid = 1000

    def run(self, key: str, argv: list[str], cores: int, addresses: frozenset[tuple[str, str]]) -> int:
        self._next_pid += 1
        program = Program(key, self._next_pid, cores, addresses, self)
        self.programs[program.pid] = program
        self.world.note(self.host.name, f"process {program.pid} runs {key}")
        self.checks.process_starts(program)
        code = int(argv[2])
        if self.at_next_start is not None:  # before the keeper's report arrives
            self.world.after(0.00005, self.at_next_start)
            self.at_next_start = None
        program.end = self.world.after(float(argv[1]), lambda: self._ended(program, code << 8))
        return program.pid

    def signal(self, pid: int, number: int) -> None:
        """Raises ProcessLookupError."""
        program = self.programs.get(pid)
        if program is None:
            raise ProcessLookupError(pid)
        if number == signal.SIGKILL:
            self._ended(program, number)
        elif number == signal.SIGTERM and program.end is not None:
            program.end.cancel()
            delay = self.world.rng.choice((0.01, 0.01, 1.0, 1e9))  # the last one ignores it
            program.end = self.world.after(delay, lambda: self._ended(program, int(signal.SIGTERM)))

    def _ended(self, program: Program, status: int) -> None:
        if not program.is_alive:
            return
        program.is_alive = False
        if program.end is not None:
            program.end.cancel()
        del self.programs[program.pid]
        self.world.note(self.host.name, f"process {program.pid} of {program.key} ended with {status}")
        if self.keeper is not None:
            self.keeper.ended.append((program.pid, status))
            self.keeper.turn_soon()
        if self.at_next_end is not None:
            at_end, self.at_next_end = self.at_next_end, None
            self.world.after(self.world.rng.choice((0.00005, 0.00015, 0.0003, 0.05, 0.5)), at_end)

    def power_off(self) -> None:
        before: dict[str, float] = {}
        if self.keeper is not None:
            before = {key: since for key, since in self.notes.ends().items() if self.keeper.is_unbooked(key)}
            self.keeper.die()
        for program in list(self.programs.values()):
            self._ended(program, int(signal.SIGKILL))
        self.notes.power_cut()
        self.checks.power_cut(self, before)
        self.boot += 1

    @property
    def release(self) -> str:
        """The release that is installed."""
        return FIRST_RELEASE if self.is_old else "this one"

    def open_keeper(self, daemon: Daemon, **times: float) -> SimulatedKeeper:
        """Return the running keeper, or start one, which first stops the processes of its dead predecessor."""
        if self.keeper is None:
            self.notes.is_old = self.is_old
            self.checks.ends_on_disk(self.notes.ends())
            self.keeper = SimulatedKeeper(self, **times)
            self.keeper.end_survivors()
        self.keeper.connect(daemon)
        return self.keeper


class _Time:
    host: Host

    def monotonic(self) -> float:
        return self.host.mono()

    def time(self) -> float:
        return self.host.wall()


class _Os:
    """The operating system as ``Keeper`` calls it, for the machine whose turn it is."""

    keeper: SimulatedKeeper

    def __getattr__(self, name: str) -> Any:
        if name.startswith("W"):  # WNOHANG, WIFSIGNALED and other functions that read a status
            return getattr(os, name)
        raise AttributeError(f"the simulated keeper must not call os.{name}")

    def wait4(self, pid: int, flags: int) -> tuple[int, int, resource.struct_rusage]:
        pid, status = self.keeper.ended.pop(0) if self.keeper.ended else (0, 0)
        return pid, status, resource.struct_rusage((0.25, 0.0, 65536, *([0] * 13)))

    def killpg(self, group: int, number: int) -> None:
        self.keeper.machine.signal(group, number)

    def getsid(self, pid: int) -> int:
        return 0


_TIME, _OS = _Time(), _Os()


class _Nobody:
    """Programs here have no descendants."""

    is_whole = True

    def __init__(self, *_: object) -> None:
        pass

    def of(self, job: object) -> list[int]:
        return []


def _start(message: dict[str, Any], marks: dict[str, str], account: None) -> tuple[int, list[Any]]:
    """``spawn.start``. Raises OSError."""
    if message["argv"][0] == "missing":
        raise OSError(errno.ENOENT, "No such file or directory", message["argv"][0])
    addresses = frozenset((name, address) for name, address in message["addresses"])
    machine, limit = _OS.keeper.machine, message.get("limit")
    pid = machine.run(message["key"], message["argv"], message["cores"], addresses)
    if limit:
        machine.checks.is_limited(machine.programs[pid], limit + _OS.keeper.grace)
    return pid, []


def _load() -> ModuleType:
    """Load a second copy of the module, to run in the simulated world."""
    spec = importlib.util.spec_from_file_location("simulated_keeper", stoker.worker.keeper.keeper.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(time=_TIME, os=_OS, Orphans=_Nobody, group_exists=lambda group: False)
    vars(module).update(start_time=lambda pid: 0, tree=lambda roots: {}, start=_start)
    return module


KEEPER = _load()
ADDED = {"served", "lost", "release", "peak_mib", "cpu_seconds"}  # added after 0.1.0


class DaemonConnection:
    """Replaces the real keeper's ``stoker.worker.keeper.connection``; ``socket`` is the daemon itself."""

    def __init__(self, machine: Machine, silence: float) -> None:
        self._machine, self._silence = machine, silence
        self.socket: Daemon | None = None
        self.heard = machine.host.mono()

    def connect(self, daemon: Daemon | None) -> None:
        self.socket, self.heard = daemon, self._machine.host.mono()

    @property
    def silent_in(self) -> float:
        """Return the seconds after which a connected but silent daemon counts as absent."""
        return self._silence + self.heard - self._machine.host.mono() if self.socket is not None else 0.0

    @property
    def absence(self) -> float:
        quiet = self._machine.host.mono() - self.heard
        return quiet if self.socket is None else max(0.0, quiet - self._silence)

    def say(self, message: dict[str, Any]) -> None:
        daemon = self.socket
        if daemon is not None:
            known = {
                name: value for name, value in message.items() if name not in ADDED or not self._machine.notes.is_old
            }
            line = json.dumps(known)
            self._machine.world.after(0.0001, lambda: daemon.from_keeper(json.loads(line)))


class _NeverOutOfMemory:
    def has_grown(self) -> bool:
        return False


class SimulatedKeeper(KEEPER.Keeper):  # type: ignore[misc,name-defined]
    """A keeper with the real one's code: only the processes, the disk under its journal and its socket are replaced."""

    def __init__(self, machine: Machine, *, away: float, silence: float, grace: float) -> None:
        self.machine = machine
        self.ended: list[tuple[int, int]] = []  # (pid, wait status), not reaped yet
        self._away, self._grace, self._release = away, grace, machine.release
        self.grace = grace
        self._daemon = DaemonConnection(machine, silence)
        self._jobs: dict[str, Any] = {}
        self._by_pid: dict[int, Any] = {}
        self._logs = KEEPER.RollingLogs()
        self._seen: Any = None
        self._closing = False
        self._marks: dict[str, str] = {}
        self._identities = KEEPER.Identities(None)
        self._journal = Journal(machine.notes, str(machine.boot))
        self._journal.begin(machine.host.mono())
        self._restore()
        self._oom = _NeverOutOfMemory()
        self._rhythm = KEEPER.Rhythm()
        self._ready_at = 0.0  # true time: it serves nobody before
        self._timer: Timer | None = None
        self._is_alive = True
        self.turn_soon()

    # --- its socket ---

    def connect(self, daemon: Daemon) -> None:
        self._daemon.connect(daemon)

    def disconnect(self, daemon: Daemon) -> None:
        if self._daemon.socket is daemon:
            self._daemon.connect(None)
            self.turn_soon()

    def say(self, message: dict[str, Any], sender: Daemon) -> None:
        """Receive a message from a daemon, also if the daemon has died since it wrote it."""
        world = self.machine.world
        line = json.dumps(message)
        world.at(max(world.now + 0.0001, self._ready_at), lambda: self._hear(line, sender))

    def _hear(self, line: str, sender: Daemon) -> None:
        if not self._is_alive or self._daemon.socket is not sender:
            return
        self._take_turn()
        self._daemon.heard = self.machine.host.mono()
        self._handle(json.loads(line))
        self.turn()

    def is_unbooked(self, key: str) -> bool:
        return key in self._journal.notes

    # --- its loop ---

    def turn_soon(self) -> None:
        self.machine.world.after(0.0001, self.turn)

    def turn(self) -> None:
        if not self._is_alive:
            return
        self._take_turn()
        self._reap()
        self._stop_expired()
        self._finish_stops()
        self._stop_all_without_daemon()
        self._journal.look(self.machine.host.mono())
        if self._is_done():
            self._journal.close()
            self._daemon.say({"op": "bye"})
            self.die()
            return
        busy = any(job.kill_at is not None or (job.exit and not job.is_clean) for job in self._jobs.values())
        if self._timer is not None:
            self._timer.cancel()
        quiet = self._daemon.silent_in
        delay = 0.1 if busy or self._closing else max(min(1.0, self._away / 10), quiet)
        due = min([self._journal.due, *(job.stop_at for job in self._jobs.values())])
        delay = max(0.0, min(delay, due - self.machine.host.mono()))
        self._timer = self.machine.world.after(delay, self.turn)

    def _take_turn(self) -> None:
        _TIME.host, _OS.keeper = self.machine.host, self

    def die(self) -> None:
        self._is_alive = False
        if self.machine.keeper is self:
            self.machine.keeper = None
        daemon = self._daemon.socket
        self._daemon.connect(None)
        if daemon is not None:
            self.machine.world.after(0.0002, daemon.keeper_lost)

    def end_survivors(self) -> None:
        """``keeper.end_survivors``, by its effects."""
        machine = self.machine
        survivors = list(machine.programs)
        if not survivors:
            return
        patience = min(1.0, self._grace)
        self._ready_at = machine.world.now + patience + 0.1
        for pid in survivors:
            machine.signal(pid, signal.SIGTERM)

        def kill() -> None:
            for pid in survivors:
                if pid in machine.programs:
                    machine.signal(pid, signal.SIGKILL)

        machine.world.after(patience, kill)
