"""Bugs in the client: the session, followed output, uploads, exit codes."""

from __future__ import annotations

from tests.mutants.plant import Mutant

_SESSION = "daemon/stoker/client/session/session.py"
_FOLLOWER = "daemon/stoker/client/logs/follower.py"
_UPLOAD = "daemon/stoker/client/submit/upload.py"
_SESSIONS = "tests/unit/client/session/test_session.py"
_HEADER = "daemon/stoker/client/logs/header.py"
_REPORT = "daemon/stoker/client/application/run_report.py"
_FOLLOWS = ("tests/unit/client/logs/test_follower.py", "tests/unit/client/logs/test_lost_output.py")

MUTANTS = (
    Mutant("what must not be repeated is asked of the next master", _SESSION, "repeat=on_lost is None", "repeat=True",
           ("tests/unit/client/session/test_session.py",)),
    Mutant("a missing job is an ordinary refusal", _SESSION, 'NotFound if answer.code == "not-found" else Refused', "Refused",
           ("tests/unit/client/session/test_session.py",)),
    Mutant("an answer that leads on is taken for the last", _SESSION, "if exchange.then(effect.message):",
           "if exchange.then(effect.message) or True:", (f"{_SESSIONS}::test_a_question_may_have_several_answers",)),
    Mutant("an output that goes on elsewhere is read from the old place", _FOLLOWER, "if asked != expected:", "if asked < 0:",
           _FOLLOWS),
    Mutant("an output ends where its first part does", _FOLLOWER, "if answer.ended and self._offset >= answer.size:",
           "if answer.ended:", _FOLLOWS),
    Mutant("removed output is not named", _FOLLOWER, "        if not self._lost:\n", "        if self._lost:\n", _FOLLOWS),
    Mutant("an old answer is taken for that of the question asked again", _FOLLOWER,
           "if self._asked is not None and serial == self._serial:", "if self._asked is not None:", _FOLLOWS),
    Mutant("output of a worker that comes back is given up", _FOLLOWER,
           "elif self.done and self._failures >= LAST_TRIES and not self._job.is_over:", "elif self.done and not self._job:",
           _FOLLOWS),
    Mutant("an interrupted upload goes on where the file was left", _UPLOAD, "self._what.file.seek(0)", "pass",
           ("tests/unit/client/submit/test_upload.py",)),
    Mutant("a file that was cut meanwhile is uploaded", _UPLOAD, "if not data and self._what.size:", "if data is None:",
           ("tests/unit/client/submit/test_upload.py",)),
    Mutant("an upload of no bytes is never sent", _UPLOAD, "(self._sent < self._what.size or self._sent == 0)",
           "self._sent < self._what.size", ("tests/unit/client/submit/test_upload.py",)),
    Mutant("a header is taken out in the middle of a line", _HEADER,
           "if self._at_line_start and _begins_like_header(self._rest):", "if _begins_like_header(self._rest):",
           ("tests/unit/client/logs/test_header.py",)),
    Mutant("output that begins like a header is held back without a bound", _HEADER,
           "if end < 0 and len(self._rest) <= _LONGEST:", "if end < 0:", ("tests/unit/client/logs/test_header.py",)),
    Mutant("a killed program's exit code is 1", "daemon/stoker/client/commands/wait.py", "return status or _FAILED_SOMEHOW",
           "return (view.attempts[-1].exit.code if view.attempts else None) or _FAILED_SOMEHOW",
           ("tests/unit/client/commands/test_exit_codes.py",)),
    Mutant("the first attempt's exit code counts", "daemon/stoker/client/commands/wait.py",
           "status = view.attempts[-1].exit.status", "status = view.attempts[0].exit.status",
           ("tests/unit/client/commands/test_exit_codes.py",)),
    Mutant("a run's exit code is that of its last executor", _REPORT,
           "worst = max((_status(executor) for executor in executors), default=0)",
           "worst = _status(executors[-1])", ("tests/unit/client/application/test_run_report.py",)),
    Mutant("a replaced executor makes a run fail", _REPORT, "_BY_THEMSELVES = (ExecutorState.EXITED, ExecutorState.FAILED)",
           "_BY_THEMSELVES = (ExecutorState.EXITED, ExecutorState.FAILED, ExecutorState.LOST)",
           ("tests/unit/client/application/test_run_report.py",)),
    Mutant("a run that was killed has the exit code of its executors", _REPORT,
           "if removed.state is ApplicationState.KILLED or not executors:", "if not executors:",
           ("tests/unit/client/application/test_run_report.py",)),
)  # fmt: skip
