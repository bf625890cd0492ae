"""The keeper: spawns, reaps, signals and outlives. It keeps a worker's processes across restarts of the worker daemon.

Started by the daemon as ``python -I -S keeper.py``; standard library only, one thread, about 10 MiB. It serves one daemon
at a time on a unix socket (file descriptor ``--listen``), in lines of JSON:

    daemon -> keeper   {"op": "hello"}          -> {"op": "jobs", "jobs": [...]}  all it keeps, ended ones included
                       {"op": "spawn", "key", "argv", "env", "cwd", "stdout", "stderr", "header", "rolling", "note"}
                                -> {"op": "started", "key", "pid"} | {"op": "failed", "key", "errno", "reason"}
                       {"op": "stop", "key", "grace"}   TERM to all of the job now, KILL after ``grace`` seconds
                       {"op": "forget", "key"}          the daemon has booked its end
                       {"op": "ping"}                   the daemon is alive
                       {"op": "shutdown", "grace"}      end everything, then the keeper -> {"op": "bye"}
    keeper -> daemon   {"op": "exited", "key", "code" | "signal"}

``note`` is the daemon's own description of the job, given back with ``jobs``.

No process is left unmanaged: what is left of a job when its main process ends is ended too, and whatever of it had been
daemonised: the keeper is a subreaper, and knows whose a process is by STOKER_JOB in its environment, or because it saw it
below the job when that was stopped, or because no other job that runs is old enough to have started it. A keeper without a
daemon for half of ``--away`` seconds ends all jobs, and is done before ``--away`` is over. A new keeper first ends
whatever the journal of a killed one still names.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import Any

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)))  # noqa: PTH100, PTH118, PTH120

# Standard library only, as this file.
from stoker.worker.keeper.job import KeptJob
from stoker.worker.keeper.orphans import Orphans
from stoker.worker.keeper.processes import KEEPER, MARK, end_survivors, group_exists, group_of, start_time, tree
from stoker.worker.keeper.rolling import RollingLog, RollingLogs

PR_SET_CHILD_SUBREAPER = 36
CHECK = 0.1  # seconds between looks while something is being ended


class Keeper:
    def __init__(self, listener: socket.socket, journal: str, *, away: float, silence: float, grace: float) -> None:
        self._listener = listener
        self._away = away
        self._silence = silence
        self._grace = grace
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._marks = {KEEPER: os.path.realpath(journal)}
        self._connection: socket.socket | None = None
        self._inbox = b""
        self._outbox = b""
        self._jobs: dict[str, KeptJob] = {}
        self._by_pid: dict[int, KeptJob] = {}
        self._seen: Orphans | None = None
        self._logs = RollingLogs()
        self._heard = time.monotonic()
        self._closing = False
        self._wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        # Handlers, not SIG_IGN: an ignored signal would stay ignored in every job.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._close_down(self._grace))
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    # --- the loop ---

    def run(self) -> None:
        while True:
            for descriptor in self._wait():
                self._serve(descriptor)
            self._logs.compress()
            self._reap()
            self._end_leftovers()
            self._check_daemon()
            if self._is_done():
                self._say({"op": "bye"})
                return

    def _wait(self) -> list[int]:
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        poller.register(self._listener, select.POLLIN)
        if self._connection is not None:
            poller.register(self._connection, select.POLLIN | (select.POLLOUT if self._outbox else 0))
        for descriptor in self._logs.descriptors:
            poller.register(descriptor, select.POLLIN)
        busy = any(job.kill_at is not None or (job.exit and not job.is_clean) for job in self._jobs.values())
        timeout = CHECK if busy or self._closing else min(1.0, self._away / 10)
        return [descriptor for descriptor, _ in poller.poll(0 if self._logs.is_behind else timeout * 1000)]

    def _serve(self, descriptor: int) -> None:
        if descriptor == self._wake_read:
            os.read(self._wake_read, 4096)
        elif descriptor == self._listener.fileno():
            self._accept()
        elif descriptor in self._logs.descriptors:
            self._logs.pump(descriptor)
        elif self._connection is not None and descriptor == self._connection.fileno():
            self._flush()
            self._receive()

    def _is_done(self) -> bool:
        running = any(not job.is_clean for job in self._jobs.values())
        if self._closing:
            return not running
        kept = any(not job.forgotten for job in self._jobs.values())
        return self._connection is None and not running and (not kept or self._absence() > self._away)

    # --- the daemon ---

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.getuid():
            connection.close()
            return
        if self._connection is not None:
            self._connection.close()  # the newest daemon is the one; it holds the slot's lock
        connection.setblocking(False)
        self._connection, self._inbox, self._outbox = connection, b"", b""
        self._heard = time.monotonic()

    def _receive(self) -> None:
        assert self._connection is not None
        try:
            data = self._connection.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._connection.close()
            self._connection = None
            self._heard = time.monotonic()
            return
        self._heard = time.monotonic()
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        for line in lines:
            self._handle(json.loads(line))
            if self._connection is None:
                return

    def _say(self, message: dict[str, Any]) -> None:
        if self._connection is not None:
            self._outbox += json.dumps(message).encode() + b"\n"
            self._flush()

    def _flush(self) -> None:
        if self._connection is None or not self._outbox:
            return
        try:
            sent = self._connection.send(self._outbox)
        except BlockingIOError:
            return
        except OSError:
            return  # the reading side will see that it is gone
        self._outbox = self._outbox[sent:]

    def _absence(self) -> float:
        """Seconds the daemon has been away: disconnected, or connected and silent for longer than ``silence``."""
        quiet = time.monotonic() - self._heard
        return quiet if self._connection is None else max(0.0, quiet - self._silence)

    def _check_daemon(self) -> None:
        absence = self._absence()
        if absence < self._away / 2 or self._closing:
            return
        for job in list(self._jobs.values()):
            if not job.is_clean and job.kill_at is None:
                self._stop(job, max(0.0, self._away * 0.9 - absence))

    def _handle(self, message: dict[str, Any]) -> None:
        op = message["op"]
        job = self._jobs.get(message.get("key", ""))
        if op == "spawn":
            self._spawn(message)
        elif op == "hello":
            jobs = [kept.describe() for kept in self._jobs.values() if not kept.forgotten]
            self._say({"op": "jobs", "jobs": jobs})
        elif op == "stop" and job is not None:
            self._stop(job, message["grace"])
        elif op == "forget" and job is not None:
            job.forgotten = True
            self._drop_if_over(job)
        elif op == "shutdown":
            self._close_down(message["grace"])

    def _close_down(self, grace: float) -> None:
        self._closing = True
        for job in list(self._jobs.values()):
            if not job.is_clean:
                self._stop(job, grace)

    # --- jobs ---

    def _spawn(self, message: dict[str, Any]) -> None:
        key = message["key"]
        try:
            if key in self._jobs or self._closing:
                raise OSError(errno.EBUSY, "it is already there, or the worker is stopping")
            pid = self._start(message)
        except OSError as error:
            where = error.filename if isinstance(error.filename, str) else ""
            reason = f"{error.strerror or error}: {where}" if where else str(error.strerror or error)
            self._say({"op": "failed", "key": key, "errno": error.errno or 0, "reason": reason})
            return
        job = KeptJob(key, pid, message["note"], started=time.time(), start_time=start_time(pid))
        self._jobs[key] = self._by_pid[pid] = job
        self._write_journal(f"+ {key} {pid} {job.start_time}")
        self._say({"op": "started", "key": key, "pid": pid})

    def _start(self, message: dict[str, Any]) -> int:
        """Popen without preexec_fn goes through vfork: it costs half of a fork, whatever the keeper's size."""
        rolling, opened, logs = message.get("rolling"), [], []
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            for path, header in ((message["stdout"], ""), (message["stderr"], message["header"])):
                descriptor = os.open(path, flags, 0o644)
                opened.append(descriptor)
                if header:
                    os.write(descriptor, header.encode())
                if rolling:
                    os.close(opened.pop())
                    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
                    opened.append(write_fd)
                    os.set_blocking(read_fd, False)
                    logs.append(RollingLog(message["key"], read_fd, path, rolling))
            process = subprocess.Popen(
                message["argv"],
                cwd=message["cwd"],
                env={**message["env"], **self._marks, MARK.decode()[:-1]: message["key"]},
                stdin=subprocess.DEVNULL,
                stdout=opened[0],
                stderr=opened[1],
                start_new_session=True,
            )
        except OSError:
            for log in logs:
                log.close()
            raise
        finally:
            for descriptor in opened:
                os.close(descriptor)
        self._logs.add(logs)
        process.returncode = 0  # reaped here, by waitpid: Popen must not do it again
        return process.pid

    def _reap(self) -> None:
        ended = []
        self._seen = None
        while (found := self._next_ended()) is not None:
            pid, status = found
            job = self._by_pid.pop(pid, None)
            if job is None:
                continue  # an adopted descendant of some job
            self._logs.drain(job.key)
            job.exit = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)}
            self._say({"op": "exited", "key": job.key, **job.exit})
            ended.append(job)
        for job in ended:
            if self._is_all_gone(job):
                self._book_clean(job)
            elif job.kill_at is None:
                self._stop(job, self._grace)

    def _next_ended(self) -> tuple[int, int] | None:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        return (pid, status) if pid else None

    def _stop(self, job: KeptJob, grace: float) -> None:
        """TERM now, KILL after ``grace`` seconds, to everything that belongs to the job."""
        kill_at = time.monotonic() + grace
        job.kill_at = kill_at if job.kill_at is None else min(job.kill_at, kill_at)
        job.known.update(tree([job.pid, *self._orphans().of(job)]))
        self._signal(job, signal.SIGTERM)

    def _signal(self, job: KeptJob, number: int) -> None:
        groups = {job.pid, *(group_of(pid) for pid in self._orphans().of(job))}
        for group in groups - {0, os.getsid(0)}:
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                pass
            except PermissionError:
                pass  # it became another user's: not ours to end

    def _end_leftovers(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if job.is_clean or (job.kill_at is None and job.exit is None):
                continue
            if job.exit is not None and self._is_all_gone(job):
                self._book_clean(job)
            elif job.kill_at is not None and now >= job.kill_at:
                self._signal(job, signal.SIGKILL)

    def _is_all_gone(self, job: KeptJob) -> bool:
        if group_exists(job.pid):
            return False
        orphans = self._orphans()
        return orphans.is_whole and not orphans.of(job)

    def _book_clean(self, job: KeptJob) -> None:
        self._write_journal(f"- {job.key}")
        job.is_clean, job.kill_at = True, None
        self._drop_if_over(job)

    def _drop_if_over(self, job: KeptJob) -> None:
        if job.is_clean and job.forgotten:
            self._jobs.pop(job.key, None)

    def _orphans(self) -> Orphans:
        """Looked at once between two reapings: until then nobody else gets the pid of one."""
        if self._seen is None:
            self._seen = Orphans(self._jobs, self._by_pid)
        return self._seen

    # --- the journal ---

    def _write_journal(self, line: str) -> None:
        os.write(self._journal, line.encode() + b"\n")
        if line.startswith("-") and all(job.is_clean for job in self._jobs.values()):
            os.ftruncate(self._journal, 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--away", type=float, required=True)
    parser.add_argument("--silence", type=float, required=True)
    parser.add_argument("--grace", type=float, required=True)
    args = parser.parse_args()
    os.set_inheritable(args.listen, False)
    end_survivors(args.journal, min(1.0, args.grace))
    listener = socket.socket(fileno=args.listen)
    Keeper(listener, args.journal, away=args.away, silence=args.silence, grace=args.grace).run()


if __name__ == "__main__":
    main()
