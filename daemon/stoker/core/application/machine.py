"""An application's side of its protocol, as a pure state machine: registered, granted executors, reconnected, removed.

Events (``events``) and the time go in, effects come out of ``take_effects``; the shell is ``client.application.app``.

* It registers with all masters of its list; without an answer in 20 s again, and after 60 s it gives up (spec 9.4).
* Once registered, a lost connection is not the end: it looks for its master, or that one's successor, for ever, and
  registers again under its id. It believes no master of a lower epoch than it has seen.
* It keeps connections to standby masters too and asks them now and then, so that it follows a new leader even while
  the old one still looks alive.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from stoker.core.application.calls import Calls
from stoker.core.application.events import (
    Answered,
    ApplicationEffect,
    Connect,
    Disconnect,
    Disconnected,
    ExecutorChanged,
    ExecutorGranted,
    GaveUp,
    LinkClosed,
    LinkEvent,
    LinkMessage,
    LinkOpened,
    Note,
    Registered,
    Removed,
    Send,
    Stopped,
)
from stoker.core.application.executors import ExecutorTable
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
from stoker.core.model.states import ApplicationState
from stoker.core.model.values import APP_ID, ApplicationDescription
from stoker.core.peer.masters import CONNECT_TIMEOUT, NEVER, LinkState, Master, Masters, Rng, sane_interval

REGISTRATION_TIMEOUT = 60.0  # seconds, in three tries (spec 9.4)
TRIES = 3
RECLAIM_TIMEOUT = 10.0  # seconds a new master has to announce the executors the old one granted
STOP_TIMEOUT = 3.0  # seconds to wait for the master's word on an unregistration


class Phase(Enum):
    REGISTERING = "registering"  # for the first time
    REGISTERED = "registered"
    RECONNECTING = "reconnecting"
    REMOVED = "removed"  # by the master; questions are still answered
    OVER = "over"


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
        self.phase = Phase.REGISTERING
        self.app_id = ""
        self.epoch = -1
        self.executors = ExecutorTable(finite=app.finite)
        self._app = app
        self._token, self._tokens_used = token, 1
        self._masters = Masters(masters, rng)
        self._current: Master | None = None
        self._give_up_at = now + registration_timeout
        self._try_interval = registration_timeout / TRIES
        self._calls = Calls()
        self._heartbeat_interval = 15.0
        self._heartbeat_at = self._reclaim_until = NEVER
        self._stop: UnregisterApplication | None = None
        self._stop_until = NEVER
        self._effects: list[ApplicationEffect] = []
        self._now = now

    # --- what its user wants -----------------------------------------------------------------------------------------

    def call(self, message: Message, now: float) -> int:
        """Ask the leading master; ``message.request`` is filled in. Returns its number; ``Answered`` follows. A
        question is repeated to the next leader, so it must not matter how often it is asked."""
        self._now = now
        number = self._calls.number()
        if isinstance(message, RequestExecutors):
            self._app = msgspec.structs.replace(self._app, executor_limit=message.executor_limit)
        numbered = msgspec.structs.replace(message, request=number)
        if self.phase is Phase.OVER:
            self._effects.append(Answered(number, Failed(request=number, reason="the application is over")))
            return number
        self._calls.add(number, numbered)
        self._send_calls()
        return number

    def forget(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._calls.forget(number)

    def stop(self, state: ApplicationState, reason: str, now: float) -> None:
        """Unregister; ``Stopped`` follows within ``STOP_TIMEOUT``, whatever the master does."""
        self._now = now
        if self.phase is Phase.OVER or self._stop is not None:
            return
        if not self.app_id or self.phase is Phase.REMOVED:
            self._finish(Stopped())
            return
        number = self._calls.number()
        self._stop = UnregisterApplication(request=number, app_id=self.app_id, state=state, reason=reason)
        self._stop_until = now + STOP_TIMEOUT
        if self._current is not None:
            self._send(self._current, self._stop)

    # --- time --------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float:
        """When ``tick`` has something to do, at the latest."""
        links = min((master.due for master in self._masters), default=NEVER) if self._wants_links else NEVER
        return min(links, self._heartbeat_at, self._reclaim_until, self._stop_until, self._give_up_at)

    def tick(self, now: float) -> None:
        self._now = now
        if self.phase is Phase.OVER:
            return
        if self._stop_until <= now:
            self._finish(Stopped())
        elif self._give_up_at <= now:
            denied = any(master.denied for master in self._masters)
            reason = f"All masters are unresponsive! Giving up. ({self._masters.complaints()})"
            self._finish(GaveUp("not-authorized" if denied else "unreachable", reason))
        else:
            self._tick_registered()
            self._tick_links()

    def _tick_registered(self) -> None:
        if self._heartbeat_at <= self._now and self._current is not None:
            self._send(self._current, ApplicationHeartbeat(app_id=self.app_id))
            self._heartbeat_at = self._now + self._heartbeat_interval
        if self._reclaim_until <= self._now:
            self._reclaim_until = NEVER
            for executor in self.executors.give_up_doubtful("the new master does not know it"):
                self._effects.append(ExecutorChanged(executor))

    def _tick_links(self) -> None:
        for master in self._masters:
            if master.due > self._now or not self._wants_links:
                continue
            if master.link is LinkState.WAITING:
                master.link, master.due = LinkState.CONNECTING, self._now + CONNECT_TIMEOUT
                self._effects.append(Connect(master.address))
            elif master.link is LinkState.CONNECTING:
                self._drop(master, f"no answer in {CONNECT_TIMEOUT:g} s")
            else:
                self._use(master)

    @property
    def _wants_links(self) -> bool:
        if self.phase is Phase.REMOVED:
            return self._current is None and bool(self._calls)
        return self.phase is not Phase.OVER

    @property
    def why_not_registered(self) -> str:
        """Each master and why it is of no use so far."""
        return self._masters.complaints()

    # --- connections -------------------------------------------------------------------------------------------------

    def handle(self, event: LinkEvent, now: float) -> None:
        self._now = now
        master = self._masters.get(event.address)
        if master is None or self.phase is Phase.OVER:
            return
        if isinstance(event, LinkMessage):
            self._on_message(master, event.message)
        elif isinstance(event, LinkOpened):
            master.link, master.denied, master.why = LinkState.OPEN, False, "connected, but it does not answer"
            self._use(master)
        else:
            self._on_closed(master, event)

    def _on_closed(self, master: Master, event: LinkClosed) -> None:
        self._masters.failed(master, self._now, event.reason, denied=event.denied)
        if master is self._current:
            self._lose(event.reason)
        elif self.phase is Phase.REGISTERING and self._masters.all_denied:
            self._finish(GaveUp("not-authorized", event.reason))

    def _drop(self, master: Master, why: str) -> None:
        self._effects.append(Disconnect(master.address))
        self._on_closed(master, LinkClosed(master.address, why))

    def _lose(self, reason: str) -> None:
        """No leader any more."""
        self._current = None
        self._calls.repeat_all()
        self._heartbeat_at = NEVER
        if self.phase is Phase.REGISTERED:
            self.phase = Phase.RECONNECTING
            self._effects.append(Disconnected(reason))
        for master in self._masters:
            if master.link is LinkState.OPEN and not master.requests:
                master.due = self._now

    def _use(self, master: Master) -> None:
        """An open connection to a master that is not (yet) the leader for us."""
        if self.phase is Phase.REMOVED:
            master.due = NEVER
            self._current = self._current or master
            self._send_calls()
            return
        number = self._calls.number()
        master.requests.add(number)
        registered = self.phase is Phase.REGISTERED
        master.due = self._now + (self._heartbeat_interval if registered else self._try_interval)
        message = RegisterApplication(
            request=number,
            token=self._token,
            app=self._description(),
            app_id=self.app_id,
            highest_executor_id=self.executors.highest_id,
            ended=tuple(self.executors.ended),
        )
        self._send(master, message)

    def _description(self) -> ApplicationDescription:
        """With what the first grant gave as the limit of a finite application that named none."""
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
        elif isinstance(message, Failed) and message.request in master.requests:
            self._on_registration_failed(master, message)
        elif isinstance(message, Reconnect):
            self._on_reconnect(master, message)
        elif master is not self._current:
            self._note(master, message, "it is not our leader")
        elif isinstance(message, (ExecutorAdded, ExecutorUpdated)):
            self._on_executor(master, message)
        elif isinstance(message, MastersChanged):
            self._masters.tell(message.masters, self._now)
        else:
            self._on_answer(master, message)

    def _on_registered(self, master: Master, message: RegisteredApplication) -> None:
        if message.request not in master.requests:
            self._note(master, message, "nobody asked for it")
            return
        master.requests.clear()
        if not APP_ID.fullmatch(message.app_id) or (self.app_id and message.app_id != self.app_id):
            self._drop(master, f"it took us for another application, {message.app_id[:80]!r}")
            return
        if master is self._current:
            return
        if message.epoch < self.epoch or (self._current is not None and message.epoch == self.epoch):
            self._drop(master, f"it leads no more (epoch {message.epoch}, we have seen {self.epoch})")
            return
        self._follow(master, message)

    def _follow(self, master: Master, message: RegisteredApplication) -> None:
        previous, self._current = self._current, master
        again, self.app_id = bool(self.app_id), message.app_id
        if again and message.epoch != self.epoch:
            self.executors.doubt_all()
            self._reclaim_until = self._now + RECLAIM_TIMEOUT
        self.epoch, self.phase = message.epoch, Phase.REGISTERED
        self._give_up_at = NEVER
        master.failures, master.due, master.why = 0, NEVER, "connected"
        if previous is not None:
            self._drop(previous, "it leads no more")
        self._heartbeat_interval = sane_interval(message.heartbeat_interval)
        self._heartbeat_at = self._now + self._heartbeat_interval
        self._masters.tell(message.masters, self._now)
        self._effects.append(Registered(self.app_id, message.master_url, again))
        self._calls.repeat_all()
        if self._stop is not None:
            self._send(master, self._stop)
        self._send_calls()

    def _on_reconnect(self, master: Master, message: Reconnect) -> None:
        """A standby that asked us to wait leads now."""
        if message.epoch < self.epoch or self.phase is Phase.REMOVED:
            self._note(master, message, f"it leads no more (epoch {message.epoch}, we have seen {self.epoch})")
        else:
            self._use(master)

    def _on_registration_failed(self, master: Master, message: Failed) -> None:
        master.requests.clear()
        if message.code == "not-leader":
            self._leads_not(master, message)
        elif self.phase is Phase.REGISTERED:
            self._note(master, message, message.reason)
            master.due = NEVER if master is self._current else self._now + self._heartbeat_interval
        else:
            self._finish(GaveUp("not-authorized" if message.code == "not-authorized" else "refused", message.reason))

    def _leads_not(self, master: Master, message: Failed) -> None:
        master.why = "not the leader"
        if master is self._current:
            self._lose(master.why)
        master.due = self._masters.next_try(master, self._now)  # it may become the leader
        self._masters.learn(message.leader, self._now)

    def _on_removed(self, master: Master, message: ApplicationRemoved) -> None:
        asked = master is self._current or bool(master.requests and self._current is None)
        if not asked or (self.app_id and message.app_id != self.app_id) or self.phase is Phase.REMOVED:
            self._note(master, message, "it is not about us")
            return
        master.requests.clear()
        if not self.app_id and message.state is ApplicationState.FAILED:
            # Registered on a connection that broke before we heard of it, and ended with that connection: start afresh.
            self._tokens_used += 1
            self._token = f"{self._token.partition('#')[0]}#{self._tokens_used}"
            master.due = self._masters.next_try(master, self._now)
            return
        self.phase, self._current, self.app_id = Phase.REMOVED, master, message.app_id
        self._heartbeat_at = self._reclaim_until = self._give_up_at = NEVER
        master.due = NEVER
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
            self._leads_not(master, message)
        elif self._stop is not None and number == self._stop.request:
            self._finish(Stopped())
        elif number in self._calls:
            self.forget(number)
            self._effects.append(Answered(number, message))
        else:
            self._note(master, message, "nobody asked for it")

    # --- effects -----------------------------------------------------------------------------------------------------

    def take_effects(self) -> list[ApplicationEffect]:
        effects, self._effects = self._effects, []
        return effects

    def _send(self, master: Master, message: Message) -> None:
        self._effects.append(Send(master.address, message))

    def _send_calls(self) -> None:
        if self._current is not None:
            for message in self._calls.take_unsent():
                self._send(self._current, message)

    def _finish(self, event: GaveUp | Stopped) -> None:
        for master in self._masters:
            if master.link is not LinkState.WAITING:
                self._effects.append(Disconnect(master.address))
        self.phase, self._current = Phase.OVER, None
        self._heartbeat_at = self._reclaim_until = self._give_up_at = self._stop_until = NEVER
        for number in self._calls.clear():
            self._effects.append(Answered(number, Failed(request=number, reason="the application is over")))
        self._effects.append(event)

    def _note(self, master: Master, message: Message, why: str) -> None:
        self._effects.append(Note(f"{master.address}: {type(message).__name__} ignored: {why}"))
