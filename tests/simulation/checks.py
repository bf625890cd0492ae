"""The invariants. Everything that the cluster does is reported here; a broken invariant raises ``Violation``.

``books``        counters equal a recount, nothing over-committed, everybody in the right tables (core/master/invariants.py)
``presence``     no connection that is reported gone is used
``fence``        only the highest epoch writes, and epochs grow
``obedience``    a worker obeys no epoch lower than the highest that it has seen
``record``       acknowledged means recoverable: it was written before the acknowledgement was sent
``ids``          an id means one thing permanently, a token one driver
``history``      an ended job stays ended; only an unknown end may become known
``at-most-once`` a driver that is not supervised never starts a second time
``true-end``     an end that a worker reports is booked, also for a driver that was declared lost
``once``         an attempt is started once, and a driver never runs twice at once
``capacity``     no host runs more than it has, no launch is refused for want of room
``addresses``    an address of a named resource is held by at most one process, until nothing of that process is left
``fifo``         jobs are served in the order they came, and no job waits that fits
``gang``         an application that needs several executors at once begins with so many, or not
``reservation``  only a job that has waited long reserves room, and others leave it alone
``fit``          nothing new is placed on a worker that has reported that its host is not well
``drain``        nothing new is placed on a draining worker, and nothing runs there after the drain's deadline
``limit``        no process outlives its time limit and the grace; a driver that reached it is not started again
``hold``         a job whose hold was acknowledged is not started, and gets no executor, before somebody releases it
``dry-run``      a dry run's answer equals what submitting right after does (checks_dry_run.py)
``after``        no driver starts before its parents have ended as it wants, or waits when they have
``array``        the tasks of an array start in the order of their indices (checks_arrays.py)
``share``        nothing is granted beyond a limit of a pool or of a user in it
``refusal``      no driver ends because a worker could not start it for the worker's own reasons
``walls``        a hostile worker changes nothing but what was placed on it (checks_walls.py)
``end``          jobs that are booked as ended do not run (checks_end.py: and everything else after the faults have stopped)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stoker.core.master.effects import Send
from stoker.core.master.invariants import violations
from stoker.core.model.messages import (
    Accepted,
    DriverStateAck,
    DriverStateChanged,
    DriverUpdate,
    ExecutorStateAck,
    KillJob,
    LaunchDriver,
    LaunchExecutor,
    Message,
    RegisterApplication,
    RegisteredApplication,
    RegisterWorker,
    Submitted,
    WorkerHeartbeat,
)
from stoker.core.model.records import AppRecord, Counters, DriverRecord, ExecutorRecord, WorkerRecord
from stoker.core.model.states import DriverState, JobPhase
from stoker.core.model.values import DriverReport, Unfit
from stoker.core.worker.machine import WorkerCore
from stoker.recovery.records import decode_record
from tests.simulation.checks_order import check_order
from tests.simulation.checks_waiting import Holds, check_parents
from tests.simulation.checks_walls import Walls
from tests.simulation.hostile import HOSTILE
from tests.simulation.world import Violation, World

if TYPE_CHECKING:
    from stoker.core.master.effects import Effect
    from tests.simulation.application import Application
    from tests.simulation.client import Client
    from tests.simulation.keeper import Machine, Program
    from tests.simulation.master import Master
    from tests.simulation.network import Connection
    from tests.simulation.storage import Store
    from tests.simulation.worker import Worker

SYNCED_WITHIN = 0.3  # seconds
SETTLE = 40.0  # seconds after a cut or a freeze: to be noticed, to reconnect, and to have the outdated killed


class Checks:
    """The scenario sets ``store``. ``is_durable``: everything acknowledged must be on record."""

    def __init__(self, world: World, *, is_durable: bool, old: set[str]) -> None:
        self.world, self.is_durable = world, is_durable
        self.walls = Walls(self.fail, old)
        self.holds = Holds(self.fail)
        self.store: Store | None = None
        self.highest_epoch = 0
        self.epochs: set[int] = set()
        self.tokens: dict[str, str] = {}  # token -> driver id
        self.owner_of: dict[str, str] = {}  # driver or application id -> token
        self.acknowledged: set[str] = set()  # ids of drivers whose submission was acknowledged
        self.kills: set[str] = set()  # acknowledged
        self.dropped: set[str] = set()  # ids whose records were removed by the retention limit
        self.final: dict[str, tuple[DriverState, int]] = {}  # and in which epoch
        self.asked_by: dict[tuple[str, int, int], Any] = {}  # client, incarnation, request
        self.ran: set[str] = set()  # keys of all processes ever
        self.unsupervised: set[str] = set()  # ids of drivers
        self.known_ends: set[str] = set()  # keys of jobs whose end is in a journal that a keeper has read
        self.granted_by: dict[str, int] = {}  # executor -> epoch
        self.heard_of: dict[tuple[int, str], int] = {}  # (epoch, application) -> highest number of its executors
        self.running: dict[str, list[Program]] = {}  # driver id or application/executor -> processes
        self._unfit: dict[tuple[str, int, str], tuple[Unfit, ...]] = {}  # (master, its incarnation, worker)
        self._seen_epoch: dict[tuple[str, int], int] = {}
        self._stale: tuple[Message, dict[str, tuple[JobPhase, bool]]] | None = None

    def fail(self, checker: str, text: str) -> None:
        raise Violation(checker, text)

    # --- masters ---

    def leads(self, master: Master, epoch: int) -> None:
        if epoch in self.epochs:
            self.fail("fence", f"{master.name} leads with epoch {epoch}, as another did before")
        self.epochs.add(epoch)  # a slow master may begin when another has been elected: the fence is there for that
        self.highest_epoch = max(epoch, self.highest_epoch)

    def batch(self, master: Master, effects: list[Effect]) -> None:
        """Check a batch after it was handled, before any of its effects is released."""
        assert master.core is not None
        books = master.core.ctx.books
        for text in violations(books):
            known = books.workers.get(text.split()[0])
            is_hostile = known is not None and known.record.key == HOSTILE
            if not (is_hostile and "is over-committed" in text):  # it may report any size and any jobs of its own
                self.fail("books", f"{master.name}: {text}")
        for peer in (*books.worker_of_peer, *books.app_of_peer):
            if not master.knows(peer):
                self.fail("presence", f"{master.name} believes that {peer!r} is there")
        check_order(master.core.ctx, effects, self.fail)
        self.holds.decided(effects, is_leader=master.core.ctx.epoch == self.highest_epoch)
        check_parents(books, effects, self.fail)
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.message, LaunchDriver | LaunchExecutor):
                worker_id = books.worker_of_peer.get(effect.peer, "")
                if unfit := self._unfit.get((master.name, master.incarnation, worker_id)):
                    self.fail("fit", f"{effect.message} goes to {worker_id}, which has reported {unfit}")

    def stored(self, epoch: int, writes: Mapping[str, bytes | None], before: Mapping[str, bytes]) -> None:
        """Check writes before they are applied."""
        if epoch < self.highest_epoch:
            self.fail("fence", f"epoch {epoch} writes {', '.join(writes)} under epoch {self.highest_epoch}")
        for key, data in writes.items():
            if data is None:
                self.dropped.add(key.split("/")[1])
                continue
            record = decode_record(key, data)
            if isinstance(record, DriverRecord):
                self._driver_stored(record, epoch)
            elif isinstance(record, (AppRecord, Counters, ExecutorRecord, WorkerRecord)) and key in before:
                self._may_follow(decode_record(key, before[key]), record)

    def _driver_stored(self, record: DriverRecord, epoch: int) -> None:
        if record.token:
            self._means(record.id, record.token)
            known = self.tokens.setdefault(record.token, record.id)
            if known != record.id and known not in self.dropped:
                self.fail("ids", f"{record.token} made {known} and now {record.id}")
        if record.attempts and record.attempts[-1].worker_key == HOSTILE:
            return  # it may be invented, and then has no history
        was, since = self.final.get(record.id, (record.state, epoch))
        # The next master does not know what the history has dropped.
        is_late = was is DriverState.ERROR and record.id in self.unsupervised  # its worker knew the true end
        if record.state is not was and not is_late and (record.id not in self.dropped or epoch == since):
            self.fail("history", f"{record.id} was {was.value} and is now {record.state.value}")
        if record.state.is_final:
            self.final[record.id] = (record.state, epoch)
        if not record.state.is_final and any(attempt.exit.is_over_limit for attempt in record.attempts):
            self.fail("limit", f"{record.id} reached a limit and is {record.state.value}")
        if record.state is DriverState.ERROR and record.attempts and record.attempts[-1].exit.refused:
            self.fail("refusal", f"{record.id} ended because a worker refused it: {record.reason}")
        numbers = [attempt.number for attempt in record.attempts]
        if numbers != sorted(set(numbers)):
            self.fail("ids", f"{record.id} has attempts {numbers}")

    def _means(self, identifier: str, token: str) -> None:
        if self.owner_of.setdefault(identifier, token) != token:
            self.fail("ids", f"{identifier} is given to {token}, and was to {self.owner_of[identifier]}")

    def _may_follow(self, old: Any, new: Any) -> None:
        if isinstance(new, Counters):
            if new.apps < old.apps or new.drivers < old.drivers:
                self.fail("ids", f"the counters fall from {old} to {new}")
        elif isinstance(new, AppRecord):
            if old.state.is_final and new.state is not old.state:
                self.fail("history", f"{new.id} was {old.state.value} and is now {new.state.value}")
            if new.next_executor_id < old.next_executor_id:
                self.fail("ids", f"{new.id} would give out executor {new.next_executor_id} again")

    def hears(self, master: Master, sender: str) -> None:
        """Note the books before the master handles a message."""
        assert master.core is not None
        if sender == HOSTILE:
            self.walls.hears(master.core.ctx.books)

    def heard(self, master: Master, sender: str, message: Message) -> None:
        """Check a message after the master handled it."""
        assert master.core is not None
        if sender == HOSTILE:
            self.walls.heard(master.core.ctx.books, message)
            return
        if isinstance(message, RegisterWorker | WorkerHeartbeat):
            self._unfit[master.name, master.incarnation, message.worker_id] = message.unfit
        told = []
        known = master.core.ctx.books.workers.get(getattr(message, "worker_id", ""))
        is_known = known is not None and known.has_registered and known.peer is not None
        is_believed = known is not None and is_known and known.record.key == sender  # else a hostile one has its id
        if isinstance(message, RegisterWorker) and is_believed and message.highest_epoch <= master.core.ctx.epoch:
            for report in message.drivers:
                self._end_known(master, report)
        elif isinstance(message, DriverStateChanged) and is_believed:
            self._end_known(master, message)
        if isinstance(message, RegisterWorker):
            told = [(report.app_id, report.executor_id) for report in message.executors]
        elif isinstance(message, RegisterApplication):
            told = [(message.app_id, message.highest_executor_id)]
        for app_id, number in told:
            key = (master.core.ctx.epoch, app_id)
            self.heard_of[key] = max(self.heard_of.get(key, -1), number)

    def _end_known(self, master: Master, report: DriverReport | DriverStateChanged) -> None:
        """A driver that is not supervised does not stay ERROR when its worker has reported how that attempt ended."""
        assert master.core is not None
        driver = master.core.ctx.books.completed_drivers.get(report.driver_id)
        if driver is None or report.driver_id not in self.unsupervised or not driver.record.attempts:
            return
        attempt = driver.record.attempts[-1]
        is_told = report.state.is_final and report.state is not DriverState.ERROR and attempt.number == report.attempt
        if is_told and driver.record.state is DriverState.ERROR and attempt.lost:
            self.fail("true-end", f"{report.driver_id} is {driver.record.state.value} although {report} was received")

    def _granted(self, master: Master, message: LaunchExecutor) -> None:
        """Check a grant. Without records a number may be used again if neither the application nor a worker reported it."""
        assert master.core is not None
        epoch, key = master.core.ctx.epoch, f"{message.app_id}/{message.executor_id}"
        is_known = message.executor_id <= self.heard_of.get((epoch, message.app_id), -1)
        if not self.is_durable and self.granted_by.get(key, epoch) != epoch and not is_known:
            self.ran.discard(key)
        self.granted_by[key] = epoch

    def sends(self, master: Master, connection: Connection, message: Message) -> None:
        """Check a message before the master sends it."""
        if master.core is not None:
            self.walls.sends(master.core.ctx.books, connection.client.name, message)
        if isinstance(message, LaunchExecutor):
            self._granted(master, message)
        elif isinstance(message, LaunchDriver) and not message.driver.supervise:
            self.unsupervised.add(message.driver_id)
        if not self.is_durable or connection.client.name == HOSTILE:
            return
        if isinstance(message, Submitted):
            self._recorded(f"{'array' if message.tasks else 'driver'}/{message.driver_id}", message)
            self.acknowledged.add(message.driver_id)
        elif isinstance(message, RegisteredApplication):
            self._recorded(f"app/{message.app_id}", message)
        elif isinstance(message, LaunchDriver):
            record = self._recorded(f"driver/{message.driver_id}", message)
            # Sends of the next batch come after its write; but a deposed master may send outdated messages.
            is_latest = master.core is not None and master.core.ctx.epoch == self.highest_epoch
            if is_latest and record is not None and record.attempt != message.attempt:
                self.fail("record", f"attempt {message.attempt} of {message.driver_id} goes out, on record is {record}")
        elif isinstance(message, LaunchExecutor):
            self._recorded(f"executor/{message.app_id}/{message.executor_id}", message)
        elif isinstance(message, DriverStateAck):
            record = self._record(f"driver/{message.driver_id}")
            may_run = isinstance(record, DriverRecord) and record.state in (DriverState.RUNNING, DriverState.UNKNOWN)
            if may_run and record.attempt == message.attempt:
                self.fail("record", f"{message} goes out, on record is {record}")
        elif isinstance(message, ExecutorStateAck):
            record = self._record(f"executor/{message.app_id}/{message.executor_id}")
            app = self._record(f"app/{message.app_id}")
            over = app is None or (isinstance(app, AppRecord) and app.state.is_final)
            if isinstance(record, ExecutorRecord) and not record.state.is_final and not over:
                self.fail("record", f"{message} goes out, on record is {record}")
        elif isinstance(message, DriverUpdate) and message.driver.state.is_final:
            record = self._recorded(f"{'array' if message.driver.array else 'driver'}/{message.driver.id}", message)
            if record is not None and not record.state.is_final:
                self.fail("record", f"{message.driver.state.value} goes out, on record is {record}")
        elif isinstance(message, Accepted):
            question = self.asked_by.get((connection.client.name, connection.incarnation, message.request))
            if question is not None:
                self._kill_recorded(question)
                self.holds.accepted(question, self._job_record(question.id))

    def _kill_recorded(self, question: Any) -> None:
        if not isinstance(question, KillJob):
            return
        record = self._job_record(question.id)
        is_killed = record is None or record.state.is_final or getattr(record, "kill_requested", False)
        if not is_killed:
            self.fail("record", f"the kill of {question.id} is acknowledged, on record is {record}")
        self.kills.add(question.id)

    def _job_record(self, job_id: str) -> Any:
        return self._record(f"{job_id.split('-', maxsplit=1)[0]}/{job_id}") or self._record(f"array/{job_id}")

    def _record(self, key: str) -> Any:
        assert self.store is not None
        data = self.store.records.get(key)
        return None if data is None or key in self.store.damaged else decode_record(key, data)

    def _recorded(self, key: str, why: Message) -> Any:
        assert self.store is not None
        identifier = key.split("/")[1]
        if key not in self.store.records and key not in self.store.damaged and identifier not in self.dropped:
            self.fail("record", f"{why} goes out, and {key} is not on record")
        return self._record(key)

    # --- workers ---

    def commanded(self, worker: Worker, core: WorkerCore, message: Any) -> None:
        """Check a master's message before a worker handles it."""
        epoch = getattr(message, "epoch", None)
        self._stale = None
        if epoch is None:
            return
        key = (worker.name, worker.incarnation)
        if epoch < self._seen_epoch.get(key, 0):
            self._stale = (message, _phases(core))
        self._seen_epoch[key] = max(epoch, self._seen_epoch.get(key, 0))

    def obeyed(self, worker: Worker, core: WorkerCore) -> None:
        """Check the worker after it handled that message."""
        if self._stale is not None and _phases(core) != self._stale[1]:
            self.fail("obedience", f"{worker.name} obeys {self._stale[0]}, and has seen a higher epoch")
        for job in core.jobs.values():
            if "not free on this worker" in job.exit.reason:
                self.fail("capacity", f"{worker.name} had to refuse {job.key}: {job.exit.reason}")

    def process_starts(self, program: Program) -> None:
        host, key = program.machine.host, program.key
        if key in self.ran:
            self.fail("once", f"{key} is started a second time, on {host.name}")
        job = key.split(":")[0]
        if job in self.unsupervised and (before := [ran for ran in self.ran if ran.startswith(f"{job}:")]):
            self.fail("at-most-once", f"{key} starts on {host.name}, and {before[0]} ran: it is not supervised")
        self.ran.add(key)
        others = [other for other in self.running.get(job, ()) if other.is_alive]
        for other in others:
            outdated = min(program, other, key=lambda one: int(one.key.partition(":")[2] or 0))
            if outdated.machine.host.doubtful_until < self.world.now:
                self.fail("once", f"{key} starts on {host.name} while {other.key} runs on {other.machine.host.name}")
        self.running[job] = [*others, program]
        capacity = program.machine.cores
        used = sum(other.cores for other in program.machine.programs.values())
        if used > capacity:
            self.fail("capacity", f"{host.name} runs jobs of {used} cores on {capacity}")
        for other in program.machine.programs.values():
            if other is not program and (shared := program.addresses & other.addresses):
                self.fail(
                    "addresses", f"{key} starts on {host.name} with {sorted(shared)}, which {other.key} still holds"
                )

    def is_limited(self, program: Program, seconds: float) -> None:
        """Check later that its keeper, if it still lives, stopped the process within its time limit and the grace."""
        keeper = program.machine.keeper

        def look() -> None:
            if program.is_alive and program.machine.keeper is keeper:
                self.fail("limit", f"{program.key} runs {seconds:g} s after its start, longer than its limit")

        self.world.after(1.1 * seconds + 1.0, look)

    # --- the ends on a worker's disk ---

    def power_cut(self, machine: Machine, ends: dict[str, float]) -> None:
        """``ends``: the ends that were in the worker's journal before the cut, and when each was written."""
        left = machine.notes.ends()
        for key, written in ends.items():
            if key not in left and self.world.now - written > SYNCED_WITHIN:
                self.fail(
                    "true-end", f"{machine.host.name} loses the end of {key}, written {self.world.now - written} s ago"
                )

    def ends_on_disk(self, ends: dict[str, float]) -> None:
        """Note the ends that a keeper finds in its journal when it starts."""
        self.known_ends.update(ends)

    # --- clients and applications ---

    def asked(self, client: Client, number: int, message: Any) -> None:
        self.asked_by[client.name, client.incarnation, number] = message
        self.holds.asked(message)

    def answered(self, client: Client, question: Any, answer: Any) -> None:
        if isinstance(answer, Submitted):
            known = self.tokens.setdefault(question.token, answer.driver_id)
            if known != answer.driver_id and known not in self.dropped:
                self.fail("ids", f"{question.token} is told {answer.driver_id}, and was told {known}")
            self._means(answer.driver_id, question.token)

    def application_registered(self, application: Application, app_id: str) -> None:
        self._means(app_id, f"{application.name}/{application.incarnation}")

    def application_over(self, application: Application, effect: Any) -> None:
        """Nothing can be checked at a single end yet."""


def _phases(core: WorkerCore) -> dict[str, tuple[JobPhase, bool]]:
    return {key: (job.phase, job.killed) for key, job in core.jobs.items()}
