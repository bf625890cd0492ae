"""An application's side of its protocol, as a pure state machine: registered, granted executors, reconnected, removed.

Link events and the time go in, effects come out of ``take_effects``; the shell is ``client.application.app``. Which masters
there are and which one leads is ``core.peer.following``'s part; an application is what introduces itself by registering.

* It registers with all masters of its list; without an answer in 20 s again, and after 60 s it gives up (spec 9.4).
* Once registered, a lost connection is not the end: it looks for its master, or that one's successor, indefinitely, and
  registers again under its id. It believes no master of a lower epoch than it has seen.
* It keeps links to standby masters too and asks them now and then, so that it follows a new leader even while the old one
  still looks alive.
"""

from __future__ import annotations

import msgspec

from stoker.core.application.events import (
    ApplicationEffect,
    Disconnected,
    ExecutorChanged,
    ExecutorGranted,
    Registered,
    Removed,
    Stopped,
)
from stoker.core.application.executors import ExecutorTable
from stoker.core.model.lifecycles import REGISTRATION, RegistrationEvent
from stoker.core.model.messages import (
    ApplicationHeartbeat,
    ApplicationRemoved,
    ExecutorAdded,
    ExecutorUpdated,
    Failed,
    MastersChanged,
    Message,
    Reconnect,
    RegisterApplication,
    RegisteredApplication,
    RequestExecutors,
    UnregisterApplication,
)
from stoker.core.model.moves import move
from stoker.core.model.states import ApplicationState
from stoker.core.model.states import RegistrationPhase as Phase
from stoker.core.model.values import APP_ID, ApplicationDescription, Rng
from stoker.core.peer.events import Answered, GaveUp, LinkClosed, LinkEvent, LinkOpened, Note
from stoker.core.peer.following import Following, Keep
from stoker.core.peer.masters import NEVER, Master, sane_interval

REGISTRATION_TIMEOUT = 60.0  # seconds, in three tries (spec 9.4)
TRIES = 3
RECLAIM_TIMEOUT = 10.0  # seconds a new master has to announce the executors the old one granted
STOP_TIMEOUT = 3.0  # seconds to wait for the master's word on an unregistration


class ApplicationCore:
    """One application. ``token`` names it to masters before it has an id; ``rng`` decides jitter only."""

    def __init__(
        self,
        *,
        app: ApplicationDescription,
        masters: tuple[str, ...],
        token: str,
        rng: Rng,
        now: float,
        registration_timeout: float = REGISTRATION_TIMEOUT,
    ) -> None:
        self.phase: Phase = REGISTRATION.initial
        self.app_id = ""
        self.epoch = -1
        self.executors: ExecutorTable = ExecutorTable(finite=app.finite)
        self._app = app
        self._token, self._tokens_used = token, 1
        self._effects: list[ApplicationEffect] = []
        self._following = Following(masters, rng, self, self._effects.append, patience=registration_timeout)
        self._try_interval = registration_timeout / TRIES
        self._heartbeat_interval = 15.0
        self._reclaim_until = NEVER
        self._stop: UnregisterApplication | None = None
        self._stop_until = NEVER
        self._now = now

    # --- what its user wants -----------------------------------------------------------------------------------------

    def call(self, message: Message, now: float, *, repeat: bool = True, prompt: bool = True) -> int:
        """Ask the leading master; ``message.request`` is filled in. Returns its number; ``Answered`` follows until it is
        forgotten. A question is repeated to the next leader, so it must not matter how often it is asked; one that is not
        (``repeat``) ends with ``Lost``."""
        self._now = now
        if isinstance(message, RequestExecutors):
            self._app = msgspec.structs.replace(self._app, executor_limit=message.executor_limit)
        if self.phase is not Phase.OVER:
            return self._following.ask(message, now, repeat=repeat, prompt=prompt).number
        number = self._following.requests.number()
        self._effects.append(Answered(number, Failed(request=number, reason="the application is over")))
        return number

    def replace(self, number: int, message: Message) -> None:
        """Ask the next leader something else."""
        self._following.requests.replace(number, message)

    def forget(self, number: int) -> None:
        """Ignore further answers."""
        self._following.requests.forget(number)

    def stop(self, state: ApplicationState, reason: str, now: float) -> None:
        """Unregister; ``Stopped`` follows within ``STOP_TIMEOUT``, whatever the master does."""
        self._now = now
        if self.phase is Phase.OVER or self._stop is not None:
            return
        if not self.app_id or self.phase is Phase.REMOVED:
            self._finish(Stopped())
            return
        number = self._following.requests.number()
        self._stop = UnregisterApplication(request=number, app_id=self.app_id, state=state, reason=reason)
        self._stop_until = now + STOP_TIMEOUT
        self._send_leader(self._stop)

    # --- time --------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float:
        """When ``tick`` has something to do, at the latest."""
        links = self._following.next_deadline() if self.phase is not Phase.OVER else NEVER
        return min(links, self._reclaim_until, self._stop_until)

    def tick(self, now: float) -> None:
        self._now = now
        if self._stop_until <= now:
            self._finish(Stopped())
        if self._reclaim_until <= now:
            self._reclaim_until = NEVER
            for executor in self.executors.give_up_doubtful("the new master does not know it"):
                self._effects.append(ExecutorChanged(executor))
        if self.phase is not Phase.OVER:
            self._following.tick(now)

    @property
    def why_not_registered(self) -> str:
        """Return each master and why it cannot be used so far."""
        return self._following.masters.complaints()

    # --- links -------------------------------------------------------------------------------------------------------

    def handle(self, event: LinkEvent, now: float) -> None:
        self._now = now
        master = self._following.masters.get(event.address)
        if master is None or self.phase is Phase.OVER:
            return
        if isinstance(event, LinkOpened):
            self._following.opened(event.address, now)
        elif isinstance(event, LinkClosed):
            self._following.closed(event.address, event.reason, now, denied=event.denied)
        else:
            self._on_message(master, event.message)

    # What ``Following`` asks for:

    def introduce(self, master: Master, now: float) -> None:
        """Register."""
        if self.phase is Phase.REMOVED:
            if self._following.leader is None:
                self._following.follow(master, NEVER, now)
                self._following.send_requests(now)
            return
        number = self._following.requests.number()
        master.registrations.add(number)
        registered = self.phase is Phase.REGISTERED
        master.due = now + (self._heartbeat_interval if registered else self._try_interval)
        message = RegisterApplication(
            request=number,
            token=self._token,
            app=self._description(),
            app_id=self.app_id,
            highest_executor_id=self.executors.highest_id,
            ended=tuple(self.executors.ended),
        )
        self._following.send(master, message)

    def lost(self, master: Master, reason: str) -> None:
        if self.phase is Phase.REGISTERED:
            move(REGISTRATION, self, RegistrationEvent.LEADER_LOST)
            self._effects.append(Disconnected(reason))

    def beat(self) -> None:
        self._send_leader(ApplicationHeartbeat(app_id=self.app_id))

    def gave_up(self) -> None:
        masters = self._following.masters
        if masters.all_denied:
            self._finish(GaveUp("not-authorized", masters.complaints()))
        else:
            reason = f"All masters are unresponsive! Giving up. ({masters.complaints()})"
            self._finish(GaveUp("not-authorized" if masters.any_denied else "unreachable", reason))

    def _description(self) -> ApplicationDescription:
        """Return the description; a finite application without a limit gets the cores of its first grant."""
        share = self.executors.share
        if not self._app.finite or self._app.max_cores is not None or not share:
            return self._app
        return msgspec.structs.replace(self._app, max_cores=share)

    # --- what masters say --------------------------------------------------------------------------------------------

    def _on_message(self, master: Master, message: Message) -> None:
        if isinstance(message, RegisteredApplication):
            self._on_registered(master, message)
        elif isinstance(message, ApplicationRemoved):
            self._on_removed(master, message)
        elif isinstance(message, Failed) and message.request in master.registrations:
            self._on_registration_failed(master, message)
        elif isinstance(message, Reconnect):
            self._on_reconnect(master, message)
        elif master is not self._following.leader:
            self._note(master, message, "it is not our leader")
        elif isinstance(message, (ExecutorAdded, ExecutorUpdated)):
            self._on_executor(master, message)
        elif isinstance(message, MastersChanged):
            self._following.masters.update(message.masters, self._now)
        else:
            self._on_answer(master, message)

    def _on_registered(self, master: Master, message: RegisteredApplication) -> None:
        if message.request not in master.registrations:
            self._note(master, message, "nobody asked for it")
            return
        master.registrations.clear()
        if self.phase is Phase.REMOVED:
            self._note(master, message, "another master has removed the application")
            return
        if not APP_ID.fullmatch(message.app_id) or (self.app_id and message.app_id != self.app_id):
            self._following.drop(master, f"it took us for another application, {message.app_id[:80]!r}", self._now)
            return
        leader = self._following.leader
        if master is leader:
            return
        if message.epoch < self.epoch or (leader is not None and message.epoch == self.epoch):
            self._following.drop(
                master, f"it leads no more (epoch {message.epoch}, we have seen {self.epoch})", self._now
            )
            return
        self._follow(master, message)

    def _follow(self, master: Master, message: RegisteredApplication) -> None:
        following = self._following
        previous = following.leader
        again, self.app_id = bool(self.app_id), message.app_id
        if again and message.epoch != self.epoch:
            self.executors.doubt_all()
            self._reclaim_until = self._now + RECLAIM_TIMEOUT
        self.epoch = message.epoch
        move(REGISTRATION, self, RegistrationEvent.REGISTERED)
        self._heartbeat_interval = sane_interval(message.heartbeat_interval)
        following.patience = NEVER
        following.follow(master, self._heartbeat_interval, self._now)
        following.served(master, self._now)
        if previous is not None:
            following.drop(previous, "it leads no more", self._now)
        following.masters.update(message.masters, self._now)
        self._effects.append(Registered(self.app_id, message.master_url, again))
        if self._stop is not None:
            following.send(master, self._stop)
        following.send_requests(self._now)

    def _on_reconnect(self, master: Master, message: Reconnect) -> None:
        """Handle the message of a standby, which asked us to wait, that it leads now."""
        if message.epoch < self.epoch or self.phase is Phase.REMOVED:
            self._note(master, message, f"it leads no more (epoch {message.epoch}, we have seen {self.epoch})")
        else:
            self.introduce(master, self._now)

    def _on_registration_failed(self, master: Master, message: Failed) -> None:
        master.registrations.clear()
        if message.code == "not-leader":
            self._following.not_leader(master, message, self._now)
        elif self.phase is Phase.REGISTERED:
            self._note(master, message, message.reason)
            master.due = NEVER if master is self._following.leader else self._now + self._heartbeat_interval
        else:
            self._finish(GaveUp("not-authorized" if message.code == "not-authorized" else "refused", message.reason))

    def _on_removed(self, master: Master, message: ApplicationRemoved) -> None:
        leader = self._following.leader
        asked = master is leader or bool(master.registrations and leader is None)
        if not asked or (self.app_id and message.app_id != self.app_id) or self.phase is Phase.REMOVED:
            self._note(master, message, "it is not about us")
            return
        master.registrations.clear()
        if not self.app_id and message.state is ApplicationState.FAILED:
            # The registration and its end were on a connection that broke before its messages arrived: register afresh.
            self._tokens_used += 1
            self._token = f"{self._token.partition('#')[0]}#{self._tokens_used}"
            master.due = self._following.masters.next_try(master, self._now)
            return
        self.app_id = message.app_id
        move(REGISTRATION, self, RegistrationEvent.REMOVED)
        self._reclaim_until = self._following.patience = NEVER
        self._following.keep = Keep.ON_DEMAND
        self._following.follow(master, NEVER, self._now)
        self._following.send_requests(self._now)
        state = message.state if message.state.is_final else ApplicationState.FAILED
        self._effects.append(Removed(state, message.reason))
        if self._stop is not None:
            self._finish(Stopped())

    def _on_executor(self, master: Master, message: ExecutorAdded | ExecutorUpdated) -> None:
        if message.app_id != self.app_id:
            self._note(master, message, f"it is about {message.app_id[:80]!r}")
        elif isinstance(message, ExecutorAdded):
            if (added := self.executors.add(message)) is not None:
                self._effects.append(ExecutorGranted(added))
        elif (changed := self.executors.update(message)) is not None:
            self._effects.append(ExecutorChanged(changed))

    def _on_answer(self, master: Master, message: Message) -> None:
        number: int = getattr(message, "request", 0)
        if isinstance(message, Failed) and message.code == "not-leader":
            self._following.not_leader(master, message, self._now)
        elif self._stop is not None and number == self._stop.request:
            self._finish(Stopped())
        elif (request := self._following.answered(message, self._now)) is not None:
            self._effects.append(Answered(request.number, message))
        else:
            self._note(master, message, "nobody asked for it")

    # --- effects -----------------------------------------------------------------------------------------------------

    def take_effects(self) -> list[ApplicationEffect]:
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    def _send_leader(self, message: Message) -> None:
        if (leader := self._following.leader) is not None:
            self._following.send(leader, message)

    def _finish(self, event: GaveUp | Stopped) -> None:
        move(REGISTRATION, self, RegistrationEvent.FINISHED)
        self._following.close()
        self._reclaim_until = self._stop_until = NEVER
        for number in self._following.requests.clear():
            self._effects.append(Answered(number, Failed(request=number, reason="the application is over")))
        self._effects.append(event)

    def _note(self, master: Master, message: Message, why: str) -> None:
        self._effects.append(Note(f"{master.address}: {type(message).__name__} ignored: {why}"))
