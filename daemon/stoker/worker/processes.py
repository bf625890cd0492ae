"""The worker's processes: this sends the core's starts and stops to the keeper, and the keeper's reports to the
core."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from stoker.config.worker import LogRolling, WorkerConfig
from stoker.core.model.redaction import redacted
from stoker.core.model.states import JobPhase
from stoker.core.model.values import Exit
from stoker.core.worker.jobs import AnyJob, DriverJob, ExecutorJob
from stoker.core.worker.machine import WorkerCore
from stoker.engines.spark_reason import reason_in
from stoker.errors import StokerError
from stoker.io.clock import read_clock
from stoker.io.loop import Loop
from stoker.version import RELEASE
from stoker.worker.jobs.attempts import note_attempt
from stoker.worker.jobs.last_line import last_error_line
from stoker.worker.jobs.launch import Launcher
from stoker.worker.jobs.limits import LimitsInForce
from stoker.worker.jobs.output import Outputs
from stoker.worker.jobs.prepare import Preparer
from stoker.worker.jobs.program import fault_of, has_crlf
from stoker.worker.jobs.refusal import is_full, keeper_refusal
from stoker.worker.jobs.submitter import Submitters
from stoker.worker.keeper import notes
from stoker.worker.keeper.link import KeeperLink
from stoker.worker.keeper.messages import (
    FIRST_RELEASE,
    Cleared,
    Exited,
    FromKeeper,
    Kept,
    Measured,
    Rolling,
    Spawn,
    ToKeeper,
    kind_of,
)
from stoker.worker.runas.starting import Starter
from stoker.worker.slot import Slot
from stoker.worker.spark.startup import SparkStartup

LOG = logging.getLogger("stoker.worker")
PINGS_PER_SILENCE = 4
_OLD_KEEPER = "the worker's keeper cannot run jobs as other accounts: it is replaced when its present jobs have ended"
NOT_FOUND = (126, 127)  # the exit status of a shell or env whose interpreter cannot be started


class Processes:
    """``attach`` first, then ``open``. ``on_change`` is called with each job that has started or ended, ``on_lost`` when the
    keeper died with all of them. The loop is stopped when the keeper has stopped everything and itself. ``environ`` is what
    programs inherit. All is done in the loop's thread.
    """

    def __init__(
        self,
        config: WorkerConfig,
        core: WorkerCore,
        loop: Loop,
        slot: Slot,
        *,
        environ: Mapping[str, str],
        limits: LimitsInForce,
        starter: Starter | None,
        on_change: Callable[[AnyJob | None], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.are_known = False  # the keeper has reported what it keeps
        self.keeper_release = ""  # that of the keeper's code; "" until it has said it
        self._config, self._limits = config, limits
        self._core = core
        self._on_change = on_change
        self._on_lost = on_lost
        self._on_stopped = loop.stop
        self._keeper = KeeperLink(
            loop, slot.folder, on_message=self._from_keeper, on_lost=self._keeper_lost, starter=starter
        )
        self._submitters = Submitters(config.run_as, environ)
        self._has_accounts = False  # the keeper can run jobs as other accounts
        self._held: list[ToKeeper] | None = None  # messages for the next keeper, while the present one is being stopped
        self._is_shutting_down = False
        self._ping_every = min(config.worker_timeout / PINGS_PER_SILENCE, 15.0)  # seconds
        self._ping_at = 0.0
        self._startup = SparkStartup(
            config, slot.folder.name, environ=environ, say=self.say, in_loop=loop.call_soon_threadsafe
        )
        self._launcher = Launcher(
            config,
            core.identity,
            environ=self._submitters.environ,
            archive_for=self._startup.archive_for,
            view_for=self._startup.view_for,
        )
        self._outputs = Outputs(rolls=config.log_rolling.is_on)

    def attach(self, preparer: Preparer, answered: Callable[[Cleared | Measured], None]) -> None:
        """``answered`` is called with the keeper's answers about folders of other accounts."""
        self._preparer, self._answered = preparer, answered

    def open(self) -> None:
        """Connect to the slot's keeper, or start one. Raises StokerError."""
        config, held, self._held = self._config, self._held, None
        self._keeper.open(
            away=config.reconnect_timeout,
            silence=config.worker_timeout,
            grace=config.driver_terminate_timeout,
            is_next=held is not None,
        )
        self.are_known = False
        self.say({"op": "hello", "name": self._core.identity.id})
        for message in held or []:
            self.say(message)

    def say(self, message: ToKeeper) -> None:
        """Send to the keeper, or to the next one while the present one is being stopped."""
        if self._held is not None:
            self._held.append(message)
        else:
            self._keeper.say(message)

    def look(self, now: float) -> None:
        """Show the keeper that this daemon runs, renew it when it may be, and go on with what makes Spark start faster.
        ``now`` is monotonic."""
        self._startup.look(now)
        self._renew_old_keeper()
        if now >= self._ping_at:
            self._ping_at = now + self._ping_every
            self.say({"op": "ping"})

    def _renew_old_keeper(self) -> None:
        """Replace an idle keeper that an earlier release of this worker has started, or one with other rights: it cannot do
        what is new."""
        is_other = self.keeper_release != RELEASE or (self._submitters.are_accounts and not self._has_accounts)
        is_old = self.are_known and is_other and self._held is None
        if is_old and not self._core.jobs and self._startup.is_idle and not self._is_shutting_down:
            LOG.info("replacing the idle process keeper of release %s by one of %s", self.keeper_release, RELEASE)
            self.say({"op": "shutdown", "grace": self._config.driver_terminate_timeout})
            self._held = []

    def next_deadline(self) -> float:
        return min(self._ping_at, self._startup.next_deadline())

    def stop_making_archives(self) -> None:
        """Stop the processes that are no jobs, because the worker stops."""
        self._startup.stop()

    def flush(self) -> bool:
        """Write what fits; True when nothing is left."""
        return self._keeper.flush()

    def shut_down(self) -> None:
        """Stop every process, then the keeper (``on_stopped``). A second call does nothing."""
        if not self._is_shutting_down:
            self._is_shutting_down = True
            self.say({"op": "shutdown", "grace": self._config.driver_terminate_timeout})

    def close(self) -> None:
        self._keeper.close()
        self._startup.close()

    # --- orders of the core ---

    def spawn(self, job: AnyJob, master_url: str) -> None:
        folder, work = self._preparer.folder(job), self._preparer.work_folder(job)
        local_dirs = self._preparer.local_dirs_for(job)
        if self._submitters.are_accounts and not self._has_accounts:
            self._could_not_start(job.key, Exit(reason=_OLD_KEEPER, refused=True))
            return
        try:
            launch = self._launcher.launch(job, work, master_url, local_dirs)
            launch.write_files(work)
            limits = self._limits.of(job)
        except StokerError as error:
            self._could_not_start(job.key, Exit(reason=str(error)))
            return
        except OSError as error:
            # A missing or unreadable file is the job's fault, as long as the folder exists.
            refused = is_full(error) or not work.is_dir()
            self._could_not_start(job.key, Exit(reason=f"cannot start it: {error}", refused=refused))
            return
        if isinstance(job, DriverJob):
            note_attempt(folder, job.attempt)
        is_executor = isinstance(job, ExecutorJob)
        title = "Spark Executor Command" if is_executor else "Launch Command"
        quoted = " ".join(f'"{word}"' for word in redacted(launch.argv))
        request: Spawn = {
            "op": "spawn",
            "key": job.key,
            "argv": list(launch.argv),
            "env": launch.env,
            "cwd": str(work),
            "stdout": str(folder / "stdout"),
            "stderr": str(folder / "stderr"),
            "header": f"{title}: {quoted}\n{'=' * 40}\n\n",
            "note": notes.encode(job),
            "kind": "job",
        }
        if is_executor and self._config.log_rolling.strategy:
            request["rolling"] = _rolling(self._config.log_rolling)
        if job.time_limit:
            request["limit"] = job.time_limit
        if limits is not None:
            request["limits"] = limits
        if self._submitters.are_accounts:
            request["run_as"] = self._submitters.request(job, (work, *local_dirs))
        self.say(request)

    def stop(self, key: str, grace: float) -> None:
        self.say({"op": "stop", "key": key, "grace": grace})

    def forget(self, key: str) -> None:
        self.say({"op": "forget", "key": key})

    # --- reports of the keeper ---

    def _from_keeper(self, message: FromKeeper) -> None:
        now = read_clock()
        if message["op"] == "jobs":
            kept = [entry["key"] for entry in message["jobs"]]
            self.keeper_release = message.get("release", FIRST_RELEASE)
            self._has_accounts = message.get("accounts", False)
            self._core.registration.keeper_is(self.keeper_release if self.keeper_release != RELEASE else "")
            self._core.keeper_back(now, message.get("served", []), message.get("lost", []), kept)
            self._adopt(message["jobs"])
        elif message["op"] == "bye":
            if self._is_shutting_down:
                self._on_stopped()
        elif message["op"] == "cleared" or message["op"] == "measured":
            self._answered(message)
        elif message["op"] == "users":
            self._core.users_file(message["fault"], is_obeyed=message["has_mapping"], now=now)
        elif kind_of(message) == "class-data":
            self._startup.on_keeper(message)
        elif message["op"] == "started":
            self._core.started(message["key"], message["pid"], now, message.get("account", ""))
            self._on_change(self._core.jobs.get(message["key"]))
        elif message["op"] == "failed":
            failure = keeper_refusal(message) or notes.start_failure(message)
            self._could_not_start(message["key"], self._with_hint(message["key"], failure))
        else:
            self._exited(message)

    def _exited(self, message: Exited) -> None:
        job = self._core.jobs.get(message["key"])
        is_news = job is not None and job.phase is not JobPhase.ENDED
        exit = self._with_hint(message["key"], notes.exit_of(message))
        if isinstance(job, ExecutorJob) and job.app.spark is not None and exit.code and not exit.oom:
            reason = reason_in(self._preparer.folder(job) / "stderr")
            exit = msgspec.structs.replace(exit, reason=reason or exit.reason)
        if is_news and job is not None:
            exit = self._with_last_line(job, exit)
        self._core.exited(message["key"], exit, read_clock())
        if is_news:
            self._on_change(job)

    def _with_last_line(self, job: AnyJob, exit: Exit) -> Exit:
        """Add the last line of stderr, if the job failed by itself."""
        if job.killed or exit.is_success:
            return exit
        line = last_error_line(self._outputs, self._preparer.folder(job), job)
        return msgspec.structs.replace(exit, last_error_line=line)

    def _with_hint(self, key: str, exit: Exit) -> Exit:
        """Name what is wrong with the file of a program that failed: neither the kernel nor a shell names it."""
        job = self._core.jobs.get(key)
        if not exit.code or not isinstance(job, DriverJob) or job.driver.kind != "program":
            return exit
        name = job.driver.main
        file = self._preparer.work_folder(job) / name
        if has_crlf(file):
            hint = f"the first line of {name} ends with CR LF (Windows): run 'dos2unix {name}' and submit it again"
        elif exit.code in NOT_FOUND and (fault := fault_of(file)):
            hint = f"{name} {fault}"
        else:
            return exit
        return msgspec.structs.replace(exit, reason=f"{exit.reason}; {hint}")

    def _could_not_start(self, key: str, exit: Exit) -> None:
        job = self._core.jobs.get(key)
        self._core.could_not_start(key, exit, read_clock())
        self._on_change(job)

    def _adopt(self, kept: list[Kept]) -> None:
        """Take over the jobs that the keeper kept from an earlier daemon."""
        adopted = 0
        for entry in kept:
            if kind_of(entry) == "class-data":
                self._startup.left_over(entry["key"])
                continue
            adopted += 1
            job = notes.decode(entry)
            if job is None:
                LOG.warning("the keeper has %s, which this version does not understand: stopping it", entry["key"])
                self.stop(entry["key"], self._config.driver_terminate_timeout)
                self.forget(entry["key"])
            else:
                if job.phase is JobPhase.ENDED:
                    job.exit = self._with_last_line(job, job.exit)
                self._core.adopt(job, read_clock())
        if adopted:
            LOG.info("took over %d processes of the daemon before", adopted)
        self.are_known = True

    def _keeper_lost(self) -> None:
        if self._is_shutting_down:
            self._on_stopped()
            return
        if self._held is not None:  # it had nothing to lose
            self.open()
            return
        LOG.error("the process keeper died: its processes are lost, starting another")
        self._core.keeper_lost(read_clock())
        self._on_lost()
        self._startup.keeper_lost()
        self.open()


def _rolling(settings: LogRolling) -> Rolling:
    return {
        "strategy": settings.strategy,
        "interval": settings.interval,
        "max_bytes": settings.max_bytes,
        "max_files": settings.max_files,
        "compress": settings.compress,
    }
