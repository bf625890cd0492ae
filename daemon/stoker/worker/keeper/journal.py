"""The keeper's journal: what it started and how that ended, for the next keeper. Standard library only, as all the keeper
imports.

One line for each event, words separated by spaces:

    b BOOT                 the boot of the machine in which the file was begun
    @ NAME                 a daemon said hello
    ? KEY STARTED NOTE     a job is about to be started (seconds since the Unix epoch; the daemon's note)
    + KEY PID START        a process was started (clock ticks since boot)
    = KEY PID EXIT         how the job ended (JSON), followed by
    - KEY                  nothing of it is left
    . KEY                  the job was not started, or the daemon has booked its end

A line is written before what it announces, so the death of processes loses nothing: a job without ``?`` was never started.
Ends that no daemon has booked after ``SYNC_AFTER`` are synced in one group: they survive a power cut. Nothing is synced
before a start, so after a power cut a missing ``?`` proves nothing (ADR 3). 0.1.0 reads and writes ``+`` and ``-`` only.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from typing import Any, cast

from stoker.worker.keeper.messages import CLASS_DATA_KEY, ProcessExit

SYNC_AFTER = 0.1  # seconds; a master that answers has acknowledged an end by then
TRY_AGAIN = 1.0  # seconds after a failed write
LARGE = 1 << 20  # bytes; a larger file is rewritten with what still matters
SERVED_KEPT = 20  # names of daemons


class JobNote:
    """A job that was about to be started. ``exit`` is None until it has ended."""

    def __init__(self, key: str, started: float, note: str) -> None:
        self.key, self.started, self.note = key, started, note
        self.pid = 0
        self.exit: ProcessExit | None = None

    def lines(self) -> str:
        intent = f"? {self.key} {self.started!r} {self.note}\n"
        return intent if self.exit is None else intent + _end_line(self.key, self.pid, self.exit)


class JournalFile:
    """The file. It is opened when it is first written, so that a full disk is an error of that write."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._is_named = False  # its name is durable

    def read(self) -> bytes:
        """Return the contents; empty if there is no file, or none that can be read."""
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                return file.read()
        except OSError:
            return b""

    def append(self, data: bytes) -> None:
        """Append all of the data, or nothing. Raises OSError."""
        if self._descriptor < 0:
            self._descriptor = _open(self._path, os.O_APPEND)
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            _write(self._descriptor, data)
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise

    def replace(self, data: bytes, *, durable: bool) -> None:
        """Replace the contents, or leave them as they are. Raises OSError."""
        new = self._path + ".new"
        descriptor = _open(new, os.O_APPEND | os.O_TRUNC)
        try:
            _write(descriptor, data)
            if durable:
                os.fdatasync(descriptor)
            os.rename(new, self._path)  # noqa: PTH104
        except OSError:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(new)  # noqa: PTH108
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._is_named = descriptor, False
        if durable:
            self._sync_name()

    def sync(self) -> None:
        """Make durable what was written. Raises OSError."""
        if self._descriptor >= 0:
            os.fdatasync(self._descriptor)
            self._sync_name()

    def _sync_name(self) -> None:
        if not self._is_named:
            folder = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # noqa: PTH120
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._is_named = True


class Journal:
    """``now`` in all methods: monotonic seconds. ``boot`` is that of the machine now.

    At first it holds what the last keeper left: ``notes`` of jobs whose end no daemon has booked, and the names of the
    daemons that were ``served`` since the machine was booted. ``begin`` starts the file of this keeper.
    """

    def __init__(self, file: JournalFile, boot: str) -> None:
        self._file, self._boot = file, boot
        self.notes: dict[str, JobNote] = {}
        self.served: list[str] = []
        self._running: dict[str, tuple[int, int]] = {}  # key -> pid, start time
        self._unsynced: dict[str, float] = {}  # keys of ends that a power cut would lose, and since when
        self._late = ""  # lines that may be lost
        self._failed_at: float | None = None  # when the end of a job could not be written
        self._size = self._least = 0
        is_whole, is_this_boot = True, False
        *lines, _torn = file.read().split(b"\n")
        for line in lines:
            try:
                words = line.decode().split(" ")
                if words[0] == "b":
                    is_this_boot = words[1] == boot
                elif words != [""]:
                    self._read(words)
            except (ValueError, IndexError):
                is_whole = False
        self.is_of_another_boot = bool(lines) and lines[0].startswith(b"b ") and not is_this_boot
        if not (is_this_boot and is_whole):  # a start may be missing
            self.served.clear()
        for key in [key for key in self.notes if key.startswith(CLASS_DATA_KEY)]:
            del self.notes[key]  # made again when it is wanted

    def _read(self, words: list[str]) -> None:
        """Raises ValueError or IndexError for a damaged line."""
        kind, key = words[0], words[1]
        if kind == "@":
            self.served.append(key)
        elif kind == "?":
            self.notes[key] = JobNote(key, float(words[2]), words[3])
        elif kind == "+":
            if key in self.notes:
                self.notes[key].pid = int(words[2])
        elif kind == "=" and key in self.notes:
            exit: Any = json.loads(words[3])
            if not isinstance(exit, dict) or not any(isinstance(exit.get(name), int) for name in ("code", "signal")):
                raise ValueError("an end without a status")
            self.notes[key].pid, self.notes[key].exit = int(words[2]), cast("ProcessExit", exit)
        elif kind == ".":
            self.notes.pop(key, None)
        elif kind not in ("=", "-"):
            raise ValueError("unknown")

    @property
    def lost(self) -> list[str]:
        """Keys of jobs that were about to start or ran, and whose end no keeper has seen."""
        return [key for key, note in self.notes.items() if note.exit is None and key not in self._running]

    def begin(self, now: float) -> None:
        """Start this keeper's file. On a full disk the last one goes on; what is written then proves less."""
        try:
            self._rewrite()
        except OSError:
            with contextlib.suppress(OSError):
                self._file.append(b"\n")  # after a torn line
            self._failed_at = now

    # --- what happens ---

    def hello(self, name: str) -> None:
        self.served = [*self.served, name][-SERVED_KEPT:]
        if name:
            with contextlib.suppress(OSError):  # then the next keeper cannot vouch for this daemon
                self._append(f"@ {name}\n")

    def intent(self, key: str, note: str, started: float) -> None:
        """Before a job's process starts. Raises OSError: it must not start then."""
        noted = JobNote(key, started, note)
        self._append(noted.lines())
        self.notes[key] = noted

    def started(self, key: str, pid: int, start: int, now: float) -> None:
        """On a full disk the line is written later: until then the mark in its environment identifies the process."""
        self._running[key] = (pid, start)
        self.notes[key].pid = pid
        try:
            self._append(f"+ {key} {pid} {start}\n")
        except OSError:
            self._failed_at = now

    def ended(self, key: str, exit: ProcessExit, now: float) -> None:
        """On a full disk the end is written later."""
        self._running.pop(key, None)
        note = self.notes.get(key)
        if note is None:  # the daemon does not want to know
            self._late += f"- {key}\n"
            return
        note.exit = exit
        self._unsynced[key] = now
        try:
            self._append(_end_line(key, note.pid, exit))
        except OSError:
            self._failed_at = now

    def forgotten(self, key: str) -> None:
        """The job was not started, or its end is booked."""
        if self.notes.pop(key, None) is not None:
            self._unsynced.pop(key, None)
            self._late += f". {key}\n"

    # --- the file ---

    @property
    def due(self) -> float:
        """When ``look`` has something to do."""
        return min(self._sync_due, self._rewrite_due)

    @property
    def _sync_due(self) -> float:
        return next(iter(self._unsynced.values())) + SYNC_AFTER if self._unsynced else float("inf")

    @property
    def _rewrite_due(self) -> float:
        return self._failed_at + TRY_AGAIN if self._failed_at is not None else float("inf")

    @property
    def _is_large(self) -> bool:
        return self._size > LARGE and self._size > 4 * self._least

    def look(self, now: float) -> None:
        """Sync ends that are not booked; write again what could not be written; keep the file small."""
        if now >= self._sync_due:
            try:
                self._file.sync()
                self._unsynced.clear()
            except OSError:
                self._unsynced = dict.fromkeys(self._unsynced, now + TRY_AGAIN)
        if now >= self._rewrite_due or (self._is_large and self._failed_at is None):
            try:
                self._rewrite()
            except OSError:
                self._failed_at = now

    def close(self) -> None:
        """Leave what the next keeper needs."""
        with contextlib.suppress(OSError):
            self._rewrite()

    def _append(self, text: str) -> None:
        data = (self._late + text).encode()
        self._file.append(data)
        self._late = ""
        self._size += len(data)

    def _rewrite(self) -> None:
        parts = [f"b {self._boot}\n", *(f"@ {name}\n" for name in self.served if name)]
        parts += [note.lines() for note in self.notes.values()]
        parts += [f"+ {key} {pid} {start}\n" for key, (pid, start) in self._running.items()]
        data = "".join(parts).encode()
        self._file.replace(data, durable=any(note.exit is not None for note in self.notes.values()))
        self._unsynced.clear()
        self._late, self._failed_at = "", None
        self._size = self._least = len(data)


def boot_id() -> str:
    """Return the kernel's name for this boot; empty when it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def _end_line(key: str, pid: int, exit: ProcessExit) -> str:
    return f"= {key} {pid} {json.dumps(exit, separators=(',', ':'))}\n- {key}\n"


def _open(path: str, flags: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def _write(descriptor: int, data: bytes) -> None:
    """Raises OSError if not all of it fits."""
    if os.write(descriptor, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
