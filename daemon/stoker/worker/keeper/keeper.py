"""The keeper: spawns, reaps, signals and outlives. It keeps a worker's processes across restarts of the worker daemon.

Started by the daemon as ``python -I -S keeper.py``; standard library only, one thread, about 10 MiB. It serves one daemon
at a time on a unix socket (file descriptor ``--listen``); ``messages`` has what the two send each other.

**A job has ended when all of it has ended.** What counts is its main process's exit code; it is reported when the main
process has ended and nothing of the job is left, so nothing is placed on cores in use and no clean-up is cut short. A job is
stopped by one TERM to everything of it; what still runs after the grace gets KILL. What is left when a main process
ends by itself is stopped in the same way.

A job with a time limit is stopped when it reaches the limit, also while no daemon is connected.

No process is left unmanaged, not even a daemonised one: the keeper is a subreaper, and finds the job of a process by
STOKER_JOB in its environment, or because it saw it below the job when that was stopped, or because no other running job
is old enough to have started it. A keeper without a daemon for half of ``--away`` seconds stops all jobs, and is done
before ``--away`` is over. A new keeper first stops whatever the journal of a killed one still names, and reports the ends in
it that no daemon has booked (``journal``).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import functools
import os
import resource
import select
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)))  # noqa: PTH100, PTH118, PTH120

# Standard library only, as this file.
from stoker.worker.groups.account import JobAccount, clear_groups
from stoker.worker.groups.tree import own_tree
from stoker.worker.groups.usage import Rhythm
from stoker.worker.keeper.connection import DaemonConnection
from stoker.worker.keeper.identity import Identities
from stoker.worker.keeper.job import KeptJob, exit_of
from stoker.worker.keeper.journal import Journal, JournalFile, boot_id
from stoker.worker.keeper.messages import Jobs, ProcessExit, Spawn, Started, ToKeeper
from stoker.worker.keeper.oom import OomCounter
from stoker.worker.keeper.orphans import Orphans
from stoker.worker.keeper.processes import KEEPER, MARK, end_survivors, group_exists, group_of, start_time, tree
from stoker.worker.keeper.rolling import RollingLogs
from stoker.worker.keeper.spawn import OutputFailed, not_started, start
from stoker.worker.runas.accounts import UnixAccounts
from stoker.worker.runas.capabilities import KILL, NEEDED, restrict

PR_SET_CHILD_SUBREAPER = 36
CHECK = 0.1  # seconds between two checks while a job is being stopped


class Keeper:
    """``away``, ``silence`` and ``grace`` in seconds. ``release`` is that of the daemon which started it."""

    def __init__(
        self,
        listener: socket.socket,
        journal: Journal,
        marks: dict[str, str],
        *,
        away: float,
        silence: float,
        grace: float,
        release: str,
        identities: Identities | None = None,
    ) -> None:
        self._daemon = DaemonConnection(listener, silence)
        self._away = away
        self._grace = grace
        self._release = release
        self._journal = journal
        self._marks = marks  # in the environment of each process
        self._identities = identities or Identities(None)
        self._jobs: dict[str, KeptJob] = {}
        self._by_pid: dict[int, KeptJob] = {}
        self._seen: Orphans | None = None
        self._logs = RollingLogs()
        self._oom = OomCounter()
        self._rhythm = Rhythm()
        self._closing = False
        self._restore()
        self._wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        # Handlers, not SIG_IGN: an ignored signal would stay ignored in every job.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGPWR):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._close_down(self._grace))
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def _restore(self) -> None:
        """Take over the ends that an earlier keeper saw and no daemon has booked."""
        self._lost = set(self._journal.lost)
        for note in self._journal.notes.values():
            if note.exit is not None:
                job = KeptJob(note.key, note.pid, note.note, kind="job", started=note.started, start_time=0)
                job.exit, job.is_clean = note.exit, True
                self._jobs[note.key] = job

    # --- the loop ---

    def run(self) -> None:
        while True:
            for descriptor in self._wait():
                self._serve(descriptor)
            self._logs.compress()
            self._reap()
            self._stop_expired()
            self._finish_stops()
            self._stop_all_without_daemon()
            self._measure()
            self._journal.look(time.monotonic())
            if news := self._identities.news():
                self._daemon.say(news)
            if self._is_done():
                self._journal.close()
                self._daemon.say({"op": "bye"})
                return

    def _wait(self) -> list[int]:
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        poller.register(self._daemon.listener, select.POLLIN)
        if self._daemon.socket is not None:
            more = select.POLLOUT if self._daemon.has_more_to_send else 0
            poller.register(self._daemon.socket, select.POLLIN | more)
        for descriptor in self._logs.descriptors:
            poller.register(descriptor, select.POLLIN)
        busy = any(job.kill_at is not None or (job.exit and not job.is_clean) for job in self._jobs.values())
        timeout = CHECK if busy or self._closing else min(1.0, self._away / 10)
        due = min([self._journal.due, *(job.stop_at for job in self._jobs.values())])
        timeout = max(0.0, min(timeout, due - time.monotonic()))
        return [descriptor for descriptor, _ in poller.poll(0 if self._logs.is_behind else timeout * 1000)]

    def _serve(self, descriptor: int) -> None:
        daemon = self._daemon
        if descriptor == self._wake_read:
            os.read(self._wake_read, 4096)
        elif descriptor == daemon.listener.fileno():
            daemon.accept()
        elif descriptor in self._logs.descriptors:
            self._logs.pump(descriptor)
        elif daemon.socket is not None and descriptor == daemon.socket.fileno():
            daemon.flush()
            for message in daemon.receive():
                self._handle(message)

    def _is_done(self) -> bool:
        running = any(not job.is_clean for job in self._jobs.values())
        if self._closing:
            return not running
        kept = any(not job.forgotten for job in self._jobs.values())
        return self._daemon.socket is None and not running and (not kept or self._daemon.absence > self._away)

    # --- the daemon ---

    def _handle(self, message: ToKeeper) -> None:
        if message["op"] == "spawn":
            self._spawn(message)
        elif message["op"] == "hello":
            jobs = [job.describe() for job in self._jobs.values() if not job.forgotten]
            self._journal.hello(message.get("name", ""))
            served, lost = self._journal.served, sorted(self._lost)
            known: Jobs = {"op": "jobs", "jobs": jobs, "served": served, "lost": lost, "release": self._release}
            self._daemon.say({**known, "accounts": self._identities.accounts is not None})
        elif message["op"] == "shutdown":
            self._close_down(message["grace"])
        elif message["op"] == "stop" and message["key"] in self._jobs:
            self._stop(self._jobs[message["key"]], message["grace"])
        elif message["op"] == "forget":
            self._forget(message["key"])
        if message["op"] in ("hello", "clear", "measure") and (answer := self._identities.handle(message)):
            self._daemon.say(answer)

    def _forget(self, key: str) -> None:
        self._journal.forgotten(key)
        self._lost.discard(key)
        if key in self._jobs:
            self._jobs[key].forgotten = True
            self._drop_if_over(self._jobs[key])

    def _stop_all_without_daemon(self) -> None:
        absence = self._daemon.absence
        if absence < self._away / 2 or self._closing:
            return
        for job in list(self._jobs.values()):
            if not job.is_clean:  # also one that is being stopped, with a longer grace
                self._stop(job, max(0.0, self._away * 0.9 - absence))

    def _close_down(self, grace: float) -> None:
        self._closing = True
        for job in list(self._jobs.values()):
            if not job.is_clean:
                self._stop(job, grace)

    # --- jobs ---

    def _spawn(self, message: Spawn) -> None:
        key, kind = message["key"], message.get("kind", "job")
        try:
            if key in self._jobs or key in self._lost or self._closing:
                raise OSError(errno.EBUSY, "it is already there, or the worker is stopping")
            job = self._start(message)
        except OSError as error:
            self._daemon.say(not_started(message, error))
            return
        self._jobs[key] = self._by_pid[job.pid] = job
        started: Started = {"op": "started", "key": key, "pid": job.pid, "kind": kind}
        self._daemon.say({**started, "account": job.runs_as} if job.runs_as else started)

    def _start(self, message: Spawn) -> KeptJob:
        """Journal that the process is about to start, and start it. Raises OSError; then it has not started."""
        key, kind, now = message["key"], message.get("kind", "job"), time.time()
        become = self._identities.of(message)
        try:
            self._journal.intent(key, message["note"], now)
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror, "the keeper's journal") from error
        try:
            runs_as = self._identities.hand_over(message, become)
            account = JobAccount.open(key, message["limits"]) if "limits" in message else None
            with account.entered() if account is not None else contextlib.nullcontext():
                pid, logs = start(message, {**self._marks, MARK.decode()[:-1]: key}, become)
        except OSError:
            self._journal.forgotten(key)
            raise
        job = KeptJob(key, pid, message["note"], kind=kind, started=now, start_time=start_time(pid))
        job.account, job.runs_as = account, runs_as
        if "limit" in message:
            job.limit_at = time.monotonic() + message["limit"]
        self._journal.started(key, pid, job.start_time, time.monotonic())
        self._logs.add(logs)
        return job

    def _measure(self) -> None:
        now = time.monotonic()
        if now < self._rhythm.due:
            return
        for job in self._jobs.values():
            if job.account is not None and not job.is_clean:
                job.account.sample(functools.partial(tree, [job.pid]))
        self._rhythm.took(now, time.monotonic())

    def _reap(self) -> None:
        ended = []
        self._seen = None
        while (found := self._next_ended()) is not None:
            pid, status, used = found
            job = self._by_pid.pop(pid, None)
            if job is None:  # an adopted descendant of some job, or a helper of the keeper
                if answer := self._identities.ended(pid):
                    self._daemon.say(answer)
                continue
            if job.account is not None:
                job.account.reaped(used)
            job.exit = self._exit_of(status, job)
            if job.is_expired:
                job.exit["expired"] = True
            ended.append(job)
        for job in ended:
            if self._is_all_gone(job):
                self._book_end(job)
            elif job.kill_at is None:
                self._stop(job, self._grace)

    def _next_ended(self) -> tuple[int, int, resource.struct_rusage] | None:
        try:
            ended = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        return ended if ended[0] else None

    def _exit_of(self, status: int, job: KeptJob) -> ProcessExit:
        found, is_killed = exit_of(status)
        if is_killed and job.kill_at is None and self._is_out_of_memory(job):
            found["oom"] = True
        return found

    def _is_out_of_memory(self, job: KeptJob) -> bool:
        return self._oom.has_grown() if job.group is None else job.group.is_out_of_memory

    def _stop(self, job: KeptJob, grace: float) -> None:
        """TERM now, KILL after ``grace`` seconds, to everything that belongs to the job. A second request only shortens
        the grace: a second TERM could interrupt a clean-up."""
        kill_at = time.monotonic() + grace
        if job.kill_at is not None:
            job.kill_at = min(job.kill_at, kill_at)
            return
        job.kill_at = kill_at
        if job.group is None:
            job.known.update(self._processes(job))
        self._signal(job, signal.SIGTERM)

    def _processes(self, job: KeptJob) -> dict[int, int]:
        """Return the living processes of a job with their start times, also those in groups of their own (``setsid``,
        ``timeout``)."""
        main = [job.pid] if job.exit is None else []
        return tree([*main, *self._orphans().of(job)])

    def _stop_expired(self) -> None:
        """Stop the jobs that have reached their time limit."""
        now = time.monotonic()
        for job in self._jobs.values():
            if now >= job.stop_at:
                job.is_expired = True
                self._stop(job, self._grace)

    def _signal(self, job: KeptJob, number: int) -> None:
        if job.group is not None:
            job.group.signal(number)
            return
        groups = {job.pid, *(group_of(pid) for pid in self._processes(job))}
        for group in groups - {0, os.getsid(0)}:
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                pass
            except PermissionError:
                pass  # it runs as another user now: the keeper may not signal it

    def _finish_stops(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if job.is_clean or (job.kill_at is None and job.exit is None):
                continue
            if job.exit is not None and self._is_all_gone(job):
                self._book_end(job)
            elif job.kill_at is not None and now >= job.kill_at:
                self._signal(job, signal.SIGKILL)

    def _is_all_gone(self, job: KeptJob) -> bool:
        if job.group is not None:
            return job.group.is_empty
        if group_exists(job.pid):
            return False
        orphans = self._orphans()
        return orphans.is_whole and not orphans.of(job)

    def _book_end(self, job: KeptJob) -> None:
        assert job.exit is not None
        job.is_clean, job.kill_at = True, None
        if job.account is not None:
            used = job.account.close()
            job.exit |= {"peak_mib": used.peak_mib, "cpu_seconds": used.cpu_seconds}
            if used.limit_mib:
                job.exit["limit_mib"] = used.limit_mib
        self._journal.ended(job.key, job.exit, time.monotonic())
        self._logs.drain(job.key)
        self._daemon.say({"op": "exited", "key": job.key, "kind": job.kind, **job.exit})
        self._drop_if_over(job)

    def _drop_if_over(self, job: KeptJob) -> None:
        if job.is_clean and job.forgotten:
            self._jobs.pop(job.key, None)

    def _orphans(self) -> Orphans:
        """Assign each orphan to its job, once between two reapings: until then its pid is not reused."""
        if self._seen is None:
            self._seen = Orphans(self._jobs, {*self._by_pid, *self._identities.helpers})
        return self._seen


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--away", type=float, required=True)
    parser.add_argument("--silence", type=float, required=True)
    parser.add_argument("--grace", type=float, required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--accounts", help="the configuration folder, from a starter with capabilities")
    args = parser.parse_args()
    os.set_inheritable(args.listen, False)
    if args.accounts:
        restrict(NEEDED, effective=frozenset({KILL}))
    identities = Identities(UnixAccounts(args.accounts) if args.accounts else None)
    journal = Journal(JournalFile(args.journal), boot_id())
    if not journal.is_of_another_boot:
        end_survivors(args.journal, min(1.0, args.grace), identities.least_uid)
        if groups := own_tree():
            clear_groups(groups, journal.notes)
    journal.begin(time.monotonic())
    marks = {KEEPER: os.path.realpath(args.journal)}
    listener = socket.socket(fileno=args.listen)
    times = {"away": args.away, "silence": args.silence, "grace": args.grace}
    Keeper(listener, journal, marks, **times, release=args.release, identities=identities).run()


if __name__ == "__main__":
    main()
