"""Bugs in the worker's keeper: stopping, grace, the journal, rolled logs."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_JOURNAL = "daemon/stoker/worker/keeper/journal.py"
_KEEPER = "daemon/stoker/worker/keeper/keeper.py"
_PROCESSES = "daemon/stoker/worker/keeper/processes.py"
_ROLLING = "daemon/stoker/worker/keeper/rolling.py"
_ABSENCE = "tests/integration/keeper/test_absence.py"
_JOBS = "tests/integration/keeper/test_jobs.py"
_KILLED = "tests/integration/keeper/test_killed.py"
_STOP = "tests/integration/keeper/test_stop.py"
_GRACE = f"{_STOP}::test_everything_of_a_stopped_job_has_the_whole_grace"

MUTANTS = (
    Mutant("a stopped job has no grace", _KEEPER, "kill_at = time.monotonic() + grace", "kill_at = time.monotonic()",
           (_GRACE,)),
    Mutant("what ignores TERM is never killed", _KEEPER, "self._signal(job, signal.SIGKILL)",
           "self._signal(job, signal.SIGTERM)", (f"{_STOP}::test_what_ignores_term_is_killed_after_the_grace",)),
    Mutant("a second stop prolongs the first", _KEEPER, "job.kill_at = min(job.kill_at, kill_at)",
           "job.kill_at = kill_at", (f"{_STOP}::test_a_later_stop_shortens_the_time_and_never_prolongs_it",)),
    Mutant("a second stop sends TERM again", _KEEPER,
           "            job.kill_at = min(job.kill_at, kill_at)\n            return\n",
           "            kill_at = min(job.kill_at, kill_at)\n",
           (f"{_STOP}::test_a_second_stop_does_not_cut_a_clean_up_short",)),
    Mutant("the keeper adopts no orphans", _KEEPER, "prctl(PR_SET_CHILD_SUBREAPER, 1,", "prctl(PR_SET_CHILD_SUBREAPER, 0,",
           (f"{_STOP}::test_stop_ends_descendants_that_carry_no_mark",)),
    Mutant("a job has ended when its main process has", _KEEPER,
           "        for job in ended:\n            if self._is_all_gone(job):",
           "        for job in ended:\n            if job.exit:",
           (f"{_STOP}::test_what_a_main_process_leaves_has_the_grace_and_counts_until_it_has_gone",)),
    Mutant("jobs have all of the absence to end in, and then none", _KEEPER, "if absence < self._away / 2 or self._closing:",
           "if absence < self._away or self._closing:", (f"{_STOP}::test_jobs_may_clean_up_when_no_daemon_comes_back",)),
    Mutant("a hung daemon counts as present", "daemon/stoker/worker/keeper/connection.py",
           "return quiet if self.socket is None else max(0.0, quiet - self._silence)",
           "return quiet if self.socket is None else 0.0", (f"{_ABSENCE}::test_silent_daemon_counts_as_gone",)),
    Mutant("exit codes are lost when the daemon is away", _KEEPER,
           "return self._daemon.socket is None and not running and (not kept or self._daemon.absence > self._away)",
           "return self._daemon.socket is None and not running",
           (f"{_ABSENCE}::test_the_only_jobs_exit_code_is_kept_for_the_next_daemon",)),
    Mutant("jobs are not in the journal", _JOURNAL, 'self._append(f"+ {key} {pid} {start}\\n")', "pass",
           (f"{_KILLED}::test_killed_keepers_jobs_are_ended_by_the_next",)),
    Mutant("another program that has the pid of a killed keeper's job is ended", _PROCESSES,
           "roots = {pid for pid, start in known if start_time(pid) == start}",
           "roots = {pid for pid, start in known if start_time(pid)}", ("tests/unit/worker/keeper/test_survivors.py",)),
    Mutant("a job of the same name of another keeper is ended", _PROCESSES,
           "if keeper in carried and not marks.isdisjoint(carried) and pid != os.getpid():",
           "if not marks.isdisjoint(carried) and pid != os.getpid():",
           (f"{_KILLED}::test_a_killed_keepers_successor_leaves_a_job_of_the_same_name_elsewhere",)),
    Mutant("an orphan that several jobs may have left goes to the oldest", "daemon/stoker/worker/keeper/orphans.py",
           "return self._running[:1] if older == 1 else []", "return self._running[:1]",
           (f"{_STOP}::test_an_orphan_that_several_jobs_may_have_left_is_left_alone",)),
    Mutant("one end for lack of memory explains all later ones", "daemon/stoker/worker/keeper/oom.py",
           "count > self._seen, count", "count > 0, count", ("tests/unit/worker/keeper/test_oom.py",)),
    Mutant("a process that exits with 137 is never out of memory", "daemon/stoker/worker/keeper/job.py",
           'return {"code": code}, code == KILLED_STATUS', 'return {"code": code}, False',
           (f"{_JOBS}::test_an_end_for_lack_of_memory_is_named",)),
    Mutant("a new keeper counts rolled output from zero", _ROLLING,
           "self._start = max((part.end for part in rolled_parts(path)), default=0)", "self._start = 0",
           ("tests/unit/worker/test_rolling.py",)),
    Mutant("retention removes the newest part", _ROLLING, "for part in parts[: max(0, len(parts) - max(keep, 1))]:",
           "for part in parts[max(keep, 1) :]:", ("tests/unit/worker/test_rolling.py",)),
    Mutant("a part is replaced by what was compressed so far", _ROLLING,
           '        os.rename(self._unfinished, self._path + ".gz")  # noqa: PTH104\n        os.unlink(self._path)',
           "        os.unlink(self._path)", ("tests/unit/worker/test_rolling.py",)),
    Mutant("another user may command a keeper", "daemon/stoker/worker/keeper/connection.py", "if uid != os.getuid():",
           "if uid < 0:", ("tests/unit/worker/keeper/test_connection.py",)),
    Mutant("a rewritten journal lacks the jobs that run", _JOURNAL,
           '        parts += [f"+ {key} {pid} {start}\\n" for key, (pid, start) in self._running.items()]\n', "",
           ("tests/unit/worker/keeper/test_journal.py",)),
    Mutant("half a line stays in the journal", _JOURNAL, "            os.ftruncate(self._descriptor, end)\n", "",
           ("tests/unit/worker/keeper/test_journal.py",)),
    Mutant("a job's last output comes after its end", "daemon/stoker/worker/keeper/keeper.py",
           "        self._logs.drain(job.key)\n", "",
           (f"{_JOBS}::test_all_output_is_written_before_a_job_s_end_is_reported",)),
    Mutant("a restarted job overwrites its output", "daemon/stoker/worker/keeper/spawn.py",
           "os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC", "os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC",
           ("tests/integration/test_jobs.py::test_supervised_driver_is_restarted_and_listed",)),
    Mutant("the daemon drops what a full socket does not take", "daemon/stoker/worker/keeper/link.py",
           "del self._outbox[:sent]", "self._outbox.clear()", ("tests/unit/worker/keeper/test_connection.py",)),
    Mutant("the keeper drops what a full socket does not take", "daemon/stoker/worker/keeper/connection.py",
           "self._outbox = self._outbox[sent:]", 'self._outbox = b""',
           ("tests/unit/worker/keeper/test_connection.py",)),
    Mutant("outputs roll by the wrong clock", "daemon/stoker/worker/keeper/rolling.py",
           "return time.time() >= self._next_roll", "return time.monotonic() >= self._next_roll",
           ("tests/unit/worker/test_rolling.py",)),
    Mutant("half a compressed part is left", "daemon/stoker/worker/keeper/rolling.py",
           "        _remove(self._unfinished)\n", "", ("tests/unit/worker/test_rolling.py",)),
    Mutant("a job that ended without a daemon runs for ever", "daemon/stoker/worker/keeper/notes.py",
           'if entry["exit"] is not None:', 'if entry["exit"] is not None and not entry["pid"]:',
           ("tests/unit/worker/keeper/test_notes.py",)),
)  # fmt: skip
