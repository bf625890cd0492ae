"""A worker: the real core in the shell of ``stoker.worker.daemon``, its keeper on a simulated machine."""

from __future__ import annotations

import random
import time
from typing import Any, cast

from stoker.core.model.messages import Message
from stoker.core.model.resources import Addresses, pairs
from stoker.core.model.values import DrainMark, Exit, Now, Unfit
from stoker.core.peer.events import Connect, Disconnect, Send
from stoker.core.worker import effects
from stoker.core.worker.jobs import AnyJob, DriverJob
from stoker.core.worker.machine import WorkerCore
from stoker.core.worker.registration import WorkerIdentity
from stoker.wire import codec
from stoker.worker.jobs.refusal import keeper_refusal
from stoker.worker.keeper import notes
from stoker.worker.keeper.messages import FIRST_RELEASE, Exited, Kept, NotStarted
from stoker.worker.processes import PINGS_PER_SILENCE
from tests.simulation.checks import Checks
from tests.simulation.keeper import Machine, SimulatedKeeper
from tests.simulation.links import Links
from tests.simulation.network import Closed, Connection, Network, Opened
from tests.simulation.process import Node
from tests.simulation.world import Host, World


class KeeperLink:
    """One daemon's connection to its keeper."""

    def __init__(self, worker: Worker) -> None:
        self._worker, self._incarnation = worker, worker.incarnation
        self._inbox: list[dict[str, Any]] = []

    @property
    def is_current(self) -> bool:
        worker = self._worker
        return worker.is_alive and worker.incarnation == self._incarnation and worker.link is self

    def from_keeper(self, message: dict[str, Any]) -> None:
        self._worker.later(0.0, lambda: self._worker.keeper_says(self, message))

    def keeper_lost(self) -> None:
        self._worker.later(0.0, lambda: self._worker.keeper_is_lost(self))


class Worker(Node):
    def __init__(
        self,
        world: World,
        network: Network,
        host: Host,
        *,
        masters: tuple[str, ...],
        cores: int,
        memory_mib: int,
        resources: Addresses,
        reconnect_timeout: float,
        worker_timeout: float,
        grace: float,
        checks: Checks,
    ) -> None:
        super().__init__(world, network, host, host.name)
        self.machine = Machine(world, host, checks, cores)
        self.cores, self.memory_mib, self.resources = cores, memory_mib, resources
        self.core: WorkerCore | None = None
        self.link: KeeperLink | None = None
        self.drain = DrainMark()
        self._is_ill = False
        self._masters, self._grace = masters, grace
        self._reconnect_timeout, self._worker_timeout = reconnect_timeout, worker_timeout
        self._checks = checks
        self._links = Links(self, "worker", self._refused)
        self._keeper: SimulatedKeeper | None = None
        self._stop: str | None = None
        self._keeper_is_old = False
        self._held: list[dict[str, Any]] | None = None  # for the next keeper, while the present one is being stopped

    @property
    def is_full(self) -> bool:
        """Its disk is full: it cannot start jobs."""
        return self.machine.notes.is_full

    @is_full.setter
    def is_full(self, value: bool) -> None:
        self.machine.notes.is_full = value
        self.later(5.0 * self.world.rng.random(), self._measure)

    @property
    def is_ill(self) -> bool:
        """Its health script says that something is wrong."""
        return self._is_ill

    @is_ill.setter
    def is_ill(self, value: bool) -> None:
        self._is_ill = value
        self.later(0.5 * self.world.rng.random(), self._measure)

    def _measure(self) -> None:
        """As worker/health.py: measure the disk, run the health script, and probe when the core asks for it."""
        if self.core is None:
            return
        found = [Unfit(kind="disk", text="the disk is full")] * self.is_full
        found += [Unfit(kind="health", text="the health script says so")] * self.is_ill
        self.core.measured(tuple(found), self.now())
        if self.core.fitness.wants_probe and not self.is_full:
            self.core.probed(self.now())
        self.wake()
        if self.core.fitness.unfit:
            self.later(5.0, self._measure)

    # --- life ---

    def started(self) -> None:
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(self.host.wall()))
        identity = WorkerIdentity(
            id=f"worker-{stamp}-{self.host.name}-7078",
            boot=str(self.incarnation),
            host=self.host.name,
            port=7078,
            cores=self.cores,
            memory_mib=self.memory_mib,
            webui_url="",
            version="",
            resources=self.resources,
        )
        rng = random.Random(self.world.rng.getrandbits(32))
        self.core = WorkerCore(identity, masters=self._masters, grace=self._grace, rng=rng, drain=self.drain)
        self._links = Links(self, "worker", self._refused)
        self._stop = None
        self._said_goodbye = False
        self._held = None
        self._ping_at = 0.0
        self._measure()
        self._open_keeper()

    def died(self) -> None:
        if self._keeper is not None and self.link is not None:
            self._keeper.disconnect(self.link)
        self.core = self.link = self._keeper = None

    def stop(self, *, keeping: bool) -> None:
        wanted = "keep" if keeping else "end"
        self._stop = "end" if self._stop == "end" else wanted
        self.wake()

    def _open_keeper(self) -> None:
        self.link = KeeperLink(self)
        self._keeper = self.machine.open_keeper(
            self.link, away=self._reconnect_timeout, silence=self._worker_timeout, grace=self._grace
        )
        self._jobs_known = False
        assert self.core is not None
        held, self._held = self._held, None
        self._say({"op": "hello", "name": self.core.identity.id})
        for message in held or []:
            self._say(message)

    def _renew_old_keeper(self, core: WorkerCore) -> None:
        is_old = self._jobs_known and self._keeper_is_old and self._held is None
        if is_old and not core.jobs and not self._said_goodbye:
            self._say({"op": "shutdown", "grace": self._grace})
            self._held = []

    def _say(self, message: dict[str, Any]) -> None:
        if self._held is not None:
            self._held.append(message)
        elif self._keeper is not None and self.link is not None:
            self._keeper.say(message, self.link)

    # --- rounds: as WorkerDaemon._round ---

    def work(self) -> None:
        core = self.core
        assert core is not None
        now = self.now()
        if self._stop is not None and not core.stopping:
            core.stop(keeping=self._stop == "keep", now=now)
        for connection, item in self.take_inbox():
            self._take(core, connection, item, now)
        if self._jobs_known:
            core.tick(now)
        self._do_effects(core)
        self._renew_old_keeper(core)
        if now.mono >= self._ping_at:
            self._ping_at = now.mono + min(self._worker_timeout / PINGS_PER_SILENCE, 15.0)
            self._say({"op": "ping"})
        if self._end_if_done(core):
            return
        deadline = core.next_deadline() if self._jobs_known else now.mono + 1
        deadline = min(deadline, self._ping_at)
        self.round_by(min(deadline, now.mono + 0.05) if self._stop else deadline)

    def _end_if_done(self, core: WorkerCore) -> bool:
        if self._stop == "keep":
            self.die("told to restart")
            return True
        if self._stop == "end" and core.is_idle and not self._said_goodbye:
            self._said_goodbye = True
            self._say({"op": "shutdown", "grace": self._grace})
        return False

    def _take(self, core: WorkerCore, connection: Connection, item: Any, now: Now) -> None:
        address = self._links.address_of(connection)
        if address is None:
            return
        if isinstance(item, Opened):
            core.link_opened(address, now)
        elif isinstance(item, Closed):
            self._links.closed(address)
            core.link_closed(address, item.reason, denied=False, now=now)
        else:
            message = codec.to_worker.decode(item)
            self.world.note(self.name, "<-", address, message)
            self._checks.commanded(self, core, message)
            core.handle(address, message, now)
            self._checks.obeyed(self, core)

    def _refused(self, address: str, reason: str) -> None:
        assert self.core is not None
        self.core.link_closed(address, reason, denied=False, now=self.now())
        self.wake()

    # --- effects ---

    def _do_effects(self, core: WorkerCore) -> None:
        while pending := core.take_effects():
            for effect in pending:
                frozen = self.boundary()
                if frozen:
                    self.freeze(frozen)  # after this round
                self._do(effect)

    def _do(self, effect: effects.WorkerEffect) -> None:
        if isinstance(effect, Send):
            self._send(effect.address, effect.message)
        elif isinstance(effect, effects.Prepare):
            self._prepare(effect.job)
        elif isinstance(effect, effects.SpawnJob):
            self._spawn(effect.job)
        elif isinstance(effect, effects.ForgetJob):
            self._say({"op": "forget", "key": effect.key})
        elif isinstance(effect, effects.StopJob):
            self._say({"op": "stop", "key": effect.key, "grace": effect.grace})
        elif isinstance(effect, Connect):
            self._links.connect(effect.address)
        elif isinstance(effect, Disconnect):
            self._links.disconnect(effect.address)
        elif isinstance(effect, effects.RememberDrain):
            self.drain = effect.drain
        elif isinstance(effect, effects.Log):
            self.world.note(self.name, "log:", effect.text)

    def _send(self, address: str, message: Message) -> None:
        if self._links.send(address, codec.encode(message)):
            self.world.note(self.name, "->", address, message)

    def _prepare(self, job: AnyJob) -> None:
        rng = self.world.rng
        delay = 0.001 if rng.random() < 0.8 else 3.0 * rng.random()
        if job_script(job)[0] == "broken":
            self.later(delay, lambda: self._prepared(job.key, Exit(reason="its file is not there")))
        elif self.is_full:
            full = Exit(reason="No space left on device", refused=True)
            self.later(delay, lambda: self._prepared(job.key, full))
            self.later(delay + 5.0, self._measure)
        else:
            self.later(delay, lambda: self._prepared(job.key, None))

    def _prepared(self, key: str, failure: Exit | None) -> None:
        assert self.core is not None
        if failure is None:
            self.core.prepared(key, self.now())
        else:
            self.core.could_not_prepare(key, failure, self.now())
        self.wake()

    def _spawn(self, job: AnyJob) -> None:
        request = {"op": "spawn", "key": job.key, "argv": job_script(job), "cwd": "/", "note": notes.encode(job)}
        limit = {"limit": job.time_limit} if job.time_limit else {}
        self._say({**request, **limit, "cores": job.cores, "addresses": pairs(job.resources)})

    # --- the keeper ---

    def keeper_says(self, link: KeeperLink, message: dict[str, Any]) -> None:
        core = self.core
        if not link.is_current or core is None:
            return
        op, now = message["op"], self.now()
        if op == "started":
            core.started(message["key"], message["pid"], now)
        elif op == "failed":
            failed = cast("NotStarted", message)
            exit = keeper_refusal(failed) or notes.start_failure(failed)
            core.could_not_start(message["key"], exit, now)
        elif op == "exited":
            core.exited(message["key"], notes.exit_of(cast("Exited", message)), now)
        elif op == "jobs":
            self._keeper_is_old = message.get("release", FIRST_RELEASE) != self.machine.release
            kept = [entry["key"] for entry in message["jobs"]]
            core.keeper_back(now, message.get("served", []), message.get("lost", []), kept)
            for entry in message["jobs"]:
                job = notes.decode(cast("Kept", entry))
                assert job is not None
                core.adopt(job, now)
            self._jobs_known = True
        elif op == "bye" and self._said_goodbye:
            self.die("stopped, with all its jobs")
            return
        self.wake()

    def keeper_is_lost(self, link: KeeperLink) -> None:
        core = self.core
        if not link.is_current or core is None:
            return
        if self._said_goodbye:
            self.die("stopped")
            return
        if self._held is not None:  # it had nothing to lose
            self._open_keeper()
            self.wake()
            return
        core.keeper_lost(self.now())
        self._open_keeper()
        self.wake()


def job_script(job: AnyJob) -> list[str]:
    return list(job.driver.args if isinstance(job, DriverJob) else job.app.command.argv)
