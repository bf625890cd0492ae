"""The worker's shell: it turns effects into I/O. One thread, one loop; processes live with the keeper."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping

from stoker.config.worker import WorkerConfig
from stoker.core.model.messages import BlobData, LogData, Message, ReadLog, ToWorker
from stoker.core.model.states import JobPhase, Role
from stoker.core.model.values import Exit, Now, Unfit
from stoker.core.model.worker_views import WorkerPage
from stoker.core.peer.events import Connect, Disconnect, LinkClosed, LinkEvent, LinkOpened, Send
from stoker.core.worker import effects
from stoker.core.worker.jobs import AnyJob
from stoker.core.worker.machine import WorkerCore
from stoker.core.worker.registration import WorkerIdentity
from stoker.io.ask import ask_in_loop
from stoker.io.clock import read_clock
from stoker.io.loop import Loop
from stoker.io.master_links import MasterLinks
from stoker.io.notify import notify
from stoker.security.keys import Keys
from stoker.wire import codec
from stoker.worker.health import HostWatch
from stoker.worker.jobs.files import JobFiles
from stoker.worker.jobs.limits import LimitsInForce
from stoker.worker.jobs.logs import LogReader, has_ended
from stoker.worker.processes import Processes
from stoker.worker.runas.starting import Starter
from stoker.worker.slot import Slot
from stoker.worker.view import PageMaker

LOG = logging.getLogger("stoker.worker")


class WorkerDaemon:
    """``run`` returns after ``stop``."""

    def __init__(
        self,
        config: WorkerConfig,
        identity: WorkerIdentity,
        *,
        loop: Loop,
        slot: Slot,
        keys: Keys | None,
        environ: Mapping[str, str],
        limits: LimitsInForce,
        starter: Starter | None = None,
    ) -> None:
        self._loop, self._slot = loop, slot
        self._core = WorkerCore(
            identity,
            masters=config.masters,
            grace=config.driver_terminate_timeout,
            rng=random.Random(),  # noqa: S311 - jitter, guards nothing
            drain=slot.drain,
        )
        self._links: MasterLinks[ToWorker] = MasterLinks(
            loop.context,
            loop,
            keys=keys,
            role=Role.WORKER,
            name=identity.id,
            decoder=codec.to_worker,
            heartbeat_timeout=config.worker_timeout,
            linger=0.5,
        )
        self._processes = Processes(
            config,
            self._core,
            loop,
            slot,
            environ=environ,
            limits=limits,
            starter=starter,
            on_change=self._job_changed,
            on_lost=self._all_lost,
        )
        self._files = JobFiles(
            config,
            ask=self._ask_master,
            prepared=self._prepared,
            failed=self._could_not_prepare,
            jobs=self._core.jobs.values,
            disk_used=lambda key, used: self._core.disk_used(key, used, read_clock()),
            slot=slot.folder,
            say=self._processes.say,
            in_loop=loop.call_soon_threadsafe,
        )
        self._processes.attach(self._files.preparer, self._files.others.answered)
        self._logs = LogReader(
            config.work_dir, is_over=self._has_ended, reply=self._answer_log, rolls=config.log_rolling.is_on, loop=loop
        )
        self._view = PageMaker(self._core)
        self._host = HostWatch(
            config.health,
            (config.work_dir, *config.local_dirs),
            config.job_environ,
            measured=self._measured,
            probed=lambda: self._core.probed(read_clock()),
            in_loop=loop.call_soon_threadsafe,
        )
        self._stop: str | None = None  # 'keep' or 'end'
        self._is_ready = False

    # --- life ---

    def run(self) -> None:
        self._processes.open()
        self._loop.run(self._round)

    def stop(self, *, keeping: bool) -> None:
        """Stop the daemon; safe in a signal handler. ``keeping``: the processes stay for the next daemon; otherwise
        they are stopped first."""
        wanted = "keep" if keeping else "end"
        self._stop = "end" if self._stop == "end" else wanted
        self._loop.wake()

    def decommission(self) -> None:
        """Drain, because this machine will be switched off; safe in a signal handler."""
        self._loop.call_soon_threadsafe(lambda: self._core.decommission(read_clock()))

    def close(self) -> None:
        self._host.close()
        self._links.close()
        self._processes.close()
        self._files.close()
        self._logs.close()

    def _round(self) -> float:
        now = read_clock()
        if self._stop is not None and not self._core.stopping:
            self._core.stop(keeping=self._stop == "keep", now=now)
            self._processes.stop_making_archives()
        for event in self._links.drain():
            self._on_link(event, now)
        self._files.follow(self._core.registration.leader)
        if self._may_register:
            self._core.tick(now)
        self._do_effects()
        self._host.want_probe(self._core.fitness.wants_probe)
        self._say_when_ready()
        self._logs.look(now.mono)
        self._processes.look(now.mono)
        written = self._processes.flush()
        self._files.look(now.mono)
        self._end_if_done()
        deadline = self._core.next_deadline() if self._may_register else now.mono + 1
        deadline = min(deadline, *(part.next_deadline() for part in (self._logs, self._files, self._processes)))
        if self._links.has_news:
            return now.mono
        return min(deadline, now.mono + 0.05) if self._stop or not written else deadline

    @property
    def _may_register(self) -> bool:
        """Not before all is known that the first registration must say: what runs here, and whether this host is well."""
        return self._processes.are_known and self._host.may_register

    def _say_when_ready(self) -> None:
        if not self._is_ready and self._core.registration.leader is not None:
            self._is_ready = True
            notify(f"READY=1\nSTATUS=registered with {self._core.registration.master_url}")

    def _end_if_done(self) -> None:
        if self._stop == "keep":
            self._loop.stop()
        elif self._stop == "end" and self._core.is_idle:
            self._processes.shut_down()

    # --- masters ---

    def _on_link(self, event: LinkEvent, now: Now) -> None:
        if isinstance(event, LinkOpened):
            self._core.link_opened(event.address, now)
        elif isinstance(event, LinkClosed):
            self._core.link_closed(event.address, event.reason, denied=event.denied, now=now)
        elif isinstance(event.message, ReadLog):
            self._logs.ask(event.address, event.message, now.mono)
        elif isinstance(event.message, BlobData):
            self._files.received(event.message)
        else:
            self._core.handle(event.address, event.message, now)

    def _ask_master(self, message: Message) -> bool:
        """Send to the master that this worker is registered with."""
        leader = self._core.registration.leader
        return leader is not None and self._links.send(leader, message)

    def _answer_log(self, address: str, answer: LogData) -> None:
        self._links.send(address, answer)

    # --- effects ---

    def _do_effects(self) -> None:
        while pending := self._core.take_effects():
            for effect in pending:
                self._do(effect)

    def _do(self, effect: effects.WorkerEffect) -> None:
        if isinstance(effect, Send):
            self._links.send(effect.address, effect.message)
        elif isinstance(effect, effects.Prepare):
            self._files.preparer.prepare(effect.job)
        elif isinstance(effect, effects.SpawnJob):
            self._processes.spawn(effect.job, effect.master_url)
        elif isinstance(effect, effects.ForgetJob):
            self._processes.forget(effect.key)
        elif isinstance(effect, effects.StopJob):
            self._processes.stop(effect.key, effect.grace)
        elif isinstance(effect, Connect):
            self._links.connect(effect.address)
        elif isinstance(effect, Disconnect):
            self._links.disconnect(effect.address)
        elif isinstance(effect, effects.CancelPrepare):
            self._files.preparer.cancel(effect.key)
        elif isinstance(effect, effects.ApplicationOver):
            self._files.application_over(effect.app_id)
        elif isinstance(effect, effects.RememberDrain):
            self._slot.remember_drain(effect.drain)
        elif isinstance(effect, effects.Log):
            LOG.log(effect.level, "%s", effect.text)

    def _measured(self, found: tuple[Unfit, ...]) -> None:
        self._core.measured(found, read_clock())
        if any(unfit.kind == "disk" for unfit in found):
            self._files.clean_soon()

    # --- jobs ---

    def _prepared(self, key: str) -> None:
        self._core.prepared(key, read_clock())

    def _could_not_prepare(self, key: str, exit: Exit) -> None:
        job = self._core.jobs.get(key)
        self._core.could_not_prepare(key, exit, read_clock())
        self._job_changed(job)

    def _all_lost(self) -> None:
        self._logs.all_changed()

    def _has_ended(self, job_id: str, executor_id: int) -> bool:
        return has_ended(self._core.jobs, job_id, executor_id)

    def _job_changed(self, job: AnyJob | None) -> None:
        """Handle the start or end of a job. None: the job is unknown."""
        if job is not None and job.phase is JobPhase.ENDED:
            self._view.finished(job)
            self._files.ended(job)
        self._logs.job_changed(job)

    # --- questions from the dashboard ---

    def read_log(self, question: ReadLog) -> LogData:
        """Answer a dashboard's thread; the work happens in the loop. Raises Refused when the daemon is too busy."""
        return ask_in_loop(self._loop, lambda: self._logs.read(question))

    def page(self) -> WorkerPage:
        """Return the view for a dashboard's thread. It is made in the loop, because the books change there."""
        return ask_in_loop(self._loop, self._view.page)
