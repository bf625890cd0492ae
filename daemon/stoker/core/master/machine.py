"""The master's state machine: events in, effects out. No I/O, no clock, no threads (docs/architecture.md).

A shell takes all waiting events, calls ``handle`` for each, then ``finish_batch`` once (timers, one scheduling pass),
commits the ``Persist`` and ``ForgetRecord`` effects in one durable write, and only then releases the ``Send``s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from stoker.core.master import applications, drivers, recovery, watching, workers
from stoker.core.master.arrays import booking, recording
from stoker.core.master.arrays.tasks import STATE_OF
from stoker.core.master.clock import OwnTime
from stoker.core.master.context import Context
from stoker.core.master.effects import Effect, Event, Gone, Received
from stoker.core.master.fitness import deadlines, refusals
from stoker.core.master.history import trim_apps, trim_drivers
from stoker.core.master.rules import RULES, Rule
from stoker.core.master.schedule import schedule
from stoker.core.master.show import cluster_view
from stoker.core.model.arrays.ids import task_id
from stoker.core.model.counts import Tally
from stoker.core.model.messages import MastersChanged, Message, Reconnect
from stoker.core.model.policy import Policy
from stoker.core.model.pools import Pools, ShadowView
from stoker.core.model.records import Record
from stoker.core.model.states import MasterState
from stoker.core.model.values import Now, Rng
from stoker.core.model.views import ClusterView


@dataclass(frozen=True, slots=True)
class OutputLocation:
    """Where the output of a driver or executor is: at ``peer``, unless ``error`` says why not, or it is ``waiting``."""

    peer: bytes | None = None
    waiting: bool = False
    error: str = ""


class MasterCore:
    """One leading master. ``tally`` counts on from what it has. ``rng`` decides shuffles and jitter, so a run can be
    replayed from its seed. ``secret`` is all masters' (core.master.vouching)."""

    def __init__(
        self,
        *,
        policy: Policy,
        epoch: int,
        url: str,
        rng: Rng,
        webui_url: str = "",
        version: str = "",
        tally: Tally | None = None,
        secret: bytes = b"",
    ) -> None:
        self.ctx: Context = Context(
            policy=policy,
            epoch=epoch,
            url=url,
            webui_url=webui_url,
            rng=rng,
            version=version,
            tally=tally,
            secret=secret,
        )
        # From a message's type to its rule; a shell adds its own, so that there is one table for all messages.
        self.rules: dict[type[Message], Callable[[Received, Now], None]] = {
            kind: partial(self._obey, rule) for kind, rule in RULES.items()
        }
        self._silence_checked = float("-inf")
        self._own_time, self._due = OwnTime(), float("-inf")
        self._looked: Now | None = None

    def recover(self, records: Mapping[str, Record], now: Now) -> list[Effect]:
        """Start from an earlier master's records, of which there may be none."""
        self._look(now)
        policy = self.ctx.policy
        waits = (policy.recovery_timeout, policy.reconnect_timeout, policy.worker_timeout)
        self.ctx.adopts_until = self.ctx.now.mono + max(waits)
        if records:
            recovery.load(self.ctx, records)
        recording.save(self.ctx)
        self.ctx.save_usage()
        return self.ctx.take_effects()

    def handle(self, event: Event, now: Now) -> None:
        """Change the books by one event; effects are collected until ``finish_batch``."""
        if isinstance(event, Gone):
            self._look(now)
            self._gone(event.peer)
        else:
            self.rules[type(event.message)](event, now)

    def _obey(self, rule: Rule, event: Received, now: Now) -> None:
        self._look(now)
        rule(self.ctx, event, event.message)

    def finish_batch(self, now: Now) -> list[Effect]:
        """Run due timers and one scheduling pass; return all effects since the last call."""
        ctx = self.ctx
        self._look(now)
        self._tick()
        if ctx.state is MasterState.RECOVERING:
            recovery.complete_if_all_answered(ctx)
        if ctx.schedule_wanted:
            schedule(ctx)
        recording.save(ctx)
        ctx.save_usage()
        self._due = self._next_due()
        return ctx.take_effects()

    def next_deadline(self) -> float:
        """Return when ``finish_batch`` must be called at the latest (``time.monotonic`` seconds)."""
        return self._own_time.mono(self._next_due())

    def _next_due(self) -> float:
        silence = self._silence_checked + self._silence_interval
        timer = self.ctx.next_timer()
        return silence if timer is None else min(silence, timer)

    def _look(self, now: Now) -> None:
        if now is self._looked:
            return  # as for all events of a batch but the first
        self._looked = now
        self.ctx.now = self._own_time.at(now, self._due)
        self.ctx.books.accounts.look(self.ctx.now.wall)

    @property
    def _silence_interval(self) -> float:
        return max(0.02, self.ctx.policy.worker_timeout / 10)

    def _tick(self) -> None:
        ctx = self.ctx
        if ctx.now.mono >= self._silence_checked + self._silence_interval:
            self._silence_checked = ctx.now.mono
            workers.check_silence(ctx)
            applications.silent(ctx)
        for timer in ctx.due_timers():
            what, _, subject = timer.partition(" ")
            if what == "relaunch":
                drivers.relaunch_due(ctx, subject)
            elif what == "worker-reconnect":
                workers.away_due(ctx, subject)
            elif what == "worker-avoided":
                refusals.avoided_due(ctx, subject)
            elif what == "drain-deadline":
                deadlines.due(ctx, subject)
            elif what == "app-reconnect":
                applications.away_due(ctx, subject)
            elif what == "recovered":
                recovery.complete(ctx)
            elif what == "homeless":
                recovery.give_up_homeless(ctx)
            else:
                ctx.schedule_wanted = True

    def _gone(self, peer: bytes) -> None:
        workers.peer_gone(self.ctx, peer)
        applications.peer_gone(self.ctx, peer)
        watching.forget(self.ctx, peer)
        self.ctx.paging.forget(peer)

    def clear_completed(self, now: Now) -> None:
        """Forget all drivers and applications that have ended."""
        self._look(now)
        trim_drivers(self.ctx, 0)
        trim_apps(self.ctx, 0)

    def pools_are(self, pools: Pools, now: Now, *faults: str) -> None:
        """Decide by these pools from now on: ``pools.yml`` was read, or has changed. ``faults``: of files that the master
        reads while it runs, where it goes by older ones; views show them."""
        self.ctx.faults = faults
        if pools is self.ctx.pools or pools == self.ctx.pools:
            return
        self._look(now)
        accounts = self.ctx.books.accounts
        accounts.set_half_life(pools.half_life)
        if pools.is_configured and not self.ctx.pools.is_configured:
            accounts.all_changed()
        self.ctx.pools = pools
        self.ctx.schedule_wanted = True

    def shadow_is(self, shadow: ShadowView | None) -> None:
        """Show this of the shadow policy from now on; nothing is decided by it."""
        self.ctx.shadow = shadow

    # --- what others may look at ---

    def view(self) -> ClusterView:
        return cluster_view(self.ctx)

    def masters_are(self, addresses: tuple[str, ...]) -> None:
        """Set the addresses of all masters, this one first, and send them to all registered peers. A peer that registers
        later receives them with the answer."""
        ctx = self.ctx
        if addresses == ctx.masters:
            return
        ctx.masters = addresses
        for peer in (*ctx.books.worker_of_peer, *ctx.books.app_of_peer):
            ctx.send(peer, MastersChanged(epoch=ctx.epoch, masters=addresses))

    def invite(self, peers: Iterable[bytes]) -> None:
        """Ask peers that tried to register while this master was a standby to register now (spec 13.3.2)."""
        for peer in peers:
            self.ctx.send(peer, Reconnect(epoch=self.ctx.epoch))

    def locate_output(self, job_id: str, executor_id: int, attempt: int = 0) -> OutputLocation:
        """Find the worker that has the output of an executor, or of a driver's ``attempt``; 0: of its latest."""
        if job_id.startswith("app-"):
            return self._executor_output(job_id, executor_id)
        return self._driver_output(job_id, attempt)

    def _executor_output(self, app_id: str, executor_id: int) -> OutputLocation:
        app = self.ctx.books.find_app(app_id)
        if app is None:
            return OutputLocation(error=f"There is no application {app_id}")
        for executor in (*app.executors.values(), *reversed(app.removed)):
            if executor.id == executor_id:
                return self._location(executor.worker_id)
        return OutputLocation(error=f"{app_id} has no executor {executor_id}")

    def _driver_output(self, driver_id: str, number: int) -> OutputLocation:
        driver = self.ctx.books.find_driver(driver_id)
        if driver is None or driver.tasks is not None:
            return self._task_output(driver_id)
        attempts = driver.record.attempts
        for attempt in reversed(attempts):
            if number in (0, attempt.number):
                return self._location(attempt.worker_id)
        if attempts and number < attempts[0].number:
            return OutputLocation(error=f"only its attempts since {attempts[0].number} are remembered")
        if attempts:
            return OutputLocation(error=f"{driver_id} has no attempt {number}: its latest is {attempts[-1].number}")
        if driver.record.state.is_final:
            return OutputLocation(error=f"{driver_id} has never run")
        return OutputLocation(waiting=True)

    def _task_output(self, driver_id: str) -> OutputLocation:
        """Find the output of a task that has not started, or whose driver the history has forgotten."""
        task, head = booking.task_of(self.ctx.books, driver_id), self.ctx.books.find_driver(driver_id)
        if head is not None and head.tasks is not None:
            first = task_id(driver_id, head.tasks.indices.first)
            return OutputLocation(error=f"{driver_id} is an array: name one of its tasks, for example {first}")
        if task is None:
            return OutputLocation(error=f"There is no driver {driver_id}")
        worker_id = task.tasks.worker_of(task.position)
        if worker_id:
            return self._location(worker_id)
        if STATE_OF[task.tasks.states[task.position]].is_final:
            return OutputLocation(error=f"{driver_id} has never run")
        return OutputLocation(waiting=True)

    def _location(self, worker_id: str) -> OutputLocation:
        worker = self.ctx.books.current_worker(worker_id)
        if worker is None or worker.peer is None:
            return OutputLocation(error=f"its output is on {worker_id}, which is not connected")
        return OutputLocation(peer=worker.peer)
