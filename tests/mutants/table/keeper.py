"""Bugs in the worker's keeper: stopping, grace, the journal, rolled logs."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_KEEPER = "daemon/stoker/worker/keeper/keeper.py"
_PROCESSES = "daemon/stoker/worker/keeper/processes.py"
_ROLLING = "daemon/stoker/worker/keeper/rolling.py"
_TESTS = "tests/integration/test_keeper.py"
_GRACE = f"{_TESTS}::test_everything_of_a_stopped_job_has_the_whole_grace"

MUTANTS = (
    Mutant("a stopped job has no grace", _KEEPER, "kill_at = time.monotonic() + grace", "kill_at = time.monotonic()",
           (_GRACE,)),
    Mutant("what ignores TERM is never killed", _KEEPER, "self._signal(job, signal.SIGKILL)",
           "self._signal(job, signal.SIGTERM)", (f"{_TESTS}::test_what_ignores_term_is_killed_after_the_grace",)),
    Mutant("a second stop prolongs the first", _KEEPER, "job.kill_at = min(job.kill_at, kill_at)",
           "job.kill_at = kill_at", (f"{_TESTS}::test_a_later_stop_shortens_the_time_and_never_prolongs_it",)),
    Mutant("a second stop sends TERM again", _KEEPER,
           "            job.kill_at = min(job.kill_at, kill_at)\n            return\n",
           "            kill_at = min(job.kill_at, kill_at)\n",
           (f"{_TESTS}::test_a_second_stop_does_not_cut_a_clean_up_short",)),
    Mutant("the keeper adopts no orphans", _KEEPER, "prctl(PR_SET_CHILD_SUBREAPER, 1,", "prctl(PR_SET_CHILD_SUBREAPER, 0,",
           (f"{_TESTS}::test_stop_ends_descendants_that_carry_no_mark",)),
    Mutant("a job has ended when its main process has", _KEEPER,
           "        for job in ended:\n            if self._is_all_gone(job):",
           "        for job in ended:\n            if job.exit:",
           (f"{_TESTS}::test_what_a_main_process_leaves_has_the_grace_and_counts_until_it_has_gone",)),
    Mutant("jobs have all of the absence to end in, and then none", _KEEPER, "if absence < self._away / 2 or self._closing:",
           "if absence < self._away or self._closing:", (f"{_TESTS}::test_jobs_may_clean_up_when_no_daemon_comes_back",)),
    Mutant("a hung daemon counts as present", "daemon/stoker/worker/keeper/connection.py",
           "return quiet if self.socket is None else max(0.0, quiet - self._silence)",
           "return quiet if self.socket is None else 0.0", (f"{_TESTS}::test_silent_daemon_counts_as_gone",)),
    Mutant("exit codes are lost when the daemon is away", _KEEPER,
           "return self._daemon.socket is None and not running and (not kept or self._daemon.absence > self._away)",
           "return self._daemon.socket is None and not running",
           (f"{_TESTS}::test_the_only_jobs_exit_code_is_kept_for_the_next_daemon",)),
    Mutant("jobs are not in the journal", _KEEPER, 'self._write_journal(f"+ {key} {pid} {job.start_time}\\n")', "pass",
           (f"{_TESTS}::test_killed_keepers_jobs_are_ended_by_the_next",)),
    Mutant("another program that has the pid of a killed keeper's job is ended", _PROCESSES,
           "roots = {pid for pid, start in known if start_time(pid) == start}",
           "roots = {pid for pid, start in known if start_time(pid)}", ("tests/unit/worker/keeper/test_survivors.py",)),
    Mutant("a job of the same name of another keeper is ended", _PROCESSES,
           "if keeper in carried and not marks.isdisjoint(carried) and pid != os.getpid():",
           "if not marks.isdisjoint(carried) and pid != os.getpid():",
           (f"{_TESTS}::test_a_killed_keepers_successor_leaves_a_job_of_the_same_name_elsewhere",)),
    Mutant("an orphan that several jobs may have left goes to the oldest", "daemon/stoker/worker/keeper/orphans.py",
           "return self._running[:1] if older == 1 else []", "return self._running[:1]",
           (f"{_TESTS}::test_an_orphan_that_several_jobs_may_have_left_is_left_alone",)),
    Mutant("one end for lack of memory explains all later ones", "daemon/stoker/worker/keeper/oom.py",
           "count > self._seen, count", "count > 0, count", ("tests/unit/worker/keeper/test_oom.py",)),
    Mutant("a process that exits with 137 is never out of memory", _KEEPER, 'is_killed = found["code"] == KILLED_STATUS',
           "is_killed = False", (f"{_TESTS}::test_an_end_for_lack_of_memory_is_named",)),
    Mutant("a new keeper counts rolled output from zero", _ROLLING,
           "self._start = max((part.end for part in rolled_parts(path)), default=0)", "self._start = 0",
           ("tests/unit/worker/test_rolling.py",)),
    Mutant("retention removes the newest part", _ROLLING, "for part in parts[: max(0, len(parts) - max(keep, 1))]:",
           "for part in parts[max(keep, 1) :]:", ("tests/unit/worker/test_rolling.py",)),
    Mutant("a part is replaced by what was compressed so far", _ROLLING,
           '        os.rename(self._unfinished, self._path + ".gz")  # noqa: PTH104\n        os.unlink(self._path)',
           "        os.unlink(self._path)", ("tests/unit/worker/test_rolling.py",)),
)  # fmt: skip
