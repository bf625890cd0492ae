"""The context that all rules of the master's core share: books, policy, the time of the event, and the effects so far."""

from __future__ import annotations

import heapq
import logging
import math
from typing import Any

from stoker.core.master.books import Books
from stoker.core.master.effects import Effect, ForgetRecord, Invite, Log, Persist, Send
from stoker.core.master.scheduling.reservation import Reservation
from stoker.core.model.counts import Tally
from stoker.core.model.messages import Message
from stoker.core.model.moves import E, Lifecycle, Recent, S, move
from stoker.core.model.pages.paging import Paging
from stoker.core.model.policy import Policy
from stoker.core.model.pools import Pools, ShadowView
from stoker.core.model.records import (
    COUNTERS_KEY,
    AppRecord,
    ArrayRecord,
    TaskChunk,
    app_key,
    array_key,
    chunk_key,
    driver_key,
    executor_key,
    usage_key,
    worker_key,
)
from stoker.core.model.states import MasterState
from stoker.core.model.values import Now, Rng


class Context:
    """One per master. ``now`` is set before each event is handled."""

    def __init__(
        self,
        *,
        policy: Policy,
        epoch: int,
        url: str,
        webui_url: str,
        rng: Rng,
        version: str = "",
        tally: Tally | None = None,
        secret: bytes = b"",
    ) -> None:
        self.secret = secret  # of the masters, for seals (core.master.vouching); empty: nothing is proved
        self.adopts_until: float = math.inf  # until then jobs of an earlier master are taken over
        self.policy = policy
        self.pools: Pools = Pools()  # as the file says now; without one, the default
        self.shadow: ShadowView | None = None  # for views; it decides nothing
        self.faults: tuple[str, ...] = ()  # why this master goes by older files
        self.epoch = epoch
        self.url = url
        self.webui_url = webui_url
        self.version = version
        self.rng = rng
        self.tally = tally or Tally()
        self.state = MasterState.ALIVE
        self._recent = Recent()
        self.masters: tuple[str, ...] = ()  # addresses of all masters, this one's first; empty: there is no other
        self.rival = ""  # a warning for the operator: another master leads as well
        self.books: Books = Books()
        self.paging: Paging = Paging(epoch)
        self.now: Now = Now(0.0, 0.0)
        self.keepers_end: float = 0.0  # after a recovery: by then keepers without a daemon have stopped their jobs
        self.schedule_wanted = False
        self.reservations: list[Reservation] = []  # that the latest pass made
        self._effects: list[Effect] = []
        self._timers: list[tuple[float, str]] = []

    def move(self, lifecycle: Lifecycle[S, E], record: Any, event: E) -> None:
        """Change the state of a record. Raises IllegalMove, which stops the master."""
        move(lifecycle, record, event, self._recent)

    # --- effects ---

    def send(self, peer: bytes | None, message: Message) -> None:
        if peer is not None:
            self._effects.append(Send(peer, message))

    def log(self, text: str, level: int = logging.INFO) -> None:
        self._effects.append(Log(level, text))

    def warn_of(self, peer: str, text: str) -> None:
        """Log a line that a peer can cause at will, by its messages alone."""
        self._effects.append(Log(logging.WARNING, text, peer))

    def invite(self, record: AppRecord, within: float) -> None:
        self._effects.append(Invite(record.id, record.description, self.webui_url, within, record.principal or ""))

    def save_driver(self, record: Any) -> None:
        """Record a driver, or an array."""
        key = array_key(record.id) if isinstance(record, ArrayRecord) else driver_key(record.id)
        self._effects.append(Persist(key, record))

    def save_chunk(self, record: TaskChunk) -> None:
        self._effects.append(Persist(chunk_key(record.array_id, record.number), record))

    def save_app(self, record: Any) -> None:
        self._effects.append(Persist(app_key(record.id), record))

    def save_executor(self, record: Any) -> None:
        self._effects.append(Persist(executor_key(record.app_id, record.id), record))

    def save_worker(self, record: Any) -> None:
        self._effects.append(Persist(worker_key(record.id), record))

    def save_counters(self) -> None:
        self._effects.append(Persist(COUNTERS_KEY, self.books.counters))

    def save_usage(self) -> None:
        """Record what pools and principals have used, as far as it changed. Without pools nobody asks for it."""
        if not self.pools.is_configured:
            self.books.accounts.changed.clear()
            return
        for (pool, principal), record in self.books.accounts.take_changed():
            key = usage_key(pool, principal)
            self._effects.append(ForgetRecord(key) if record is None else Persist(key, record))

    def forget(self, key: str) -> None:
        self._effects.append(ForgetRecord(key))

    def take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    # --- timers ---

    def wake_at(self, mono: float, what: str) -> None:
        """Run the timer ``what`` (see ``MasterCore._tick``) at ``mono``. A timer that has become pointless is harmless:
        its rule checks the books first."""
        heapq.heappush(self._timers, (mono, what))

    def due_timers(self) -> list[str]:
        due = []
        while self._timers and self._timers[0][0] <= self.now.mono:
            due.append(heapq.heappop(self._timers)[1])
        return due

    def next_timer(self) -> float | None:
        return self._timers[0][0] if self._timers else None
