"""``walls``: a hostile worker changes nothing but what a master has placed on it (ADR 23)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from stoker.core.master.books import Books, Driver
from stoker.core.model.messages import KillDriver, LaunchDriver
from stoker.core.model.states import WorkerState
from tests.simulation.hostile import HOSTILE, INVENTED

State = dict[str, Any]


class Walls:
    """``fail`` gets the checker's name and a text. ``unsealed``: names of honest workers of a release without seals."""

    def __init__(self, fail: Callable[[str, str], None], unsealed: set[str]) -> None:
        self._fail, self._unsealed = fail, unsealed
        self._placed: set[tuple[str, int]] = set()  # attempts that a master sent to the hostile worker
        self._before: State = {}
        self._known: set[str] = set()  # ids of all jobs before the message, the hostile worker's too
        self._keys: dict[str, str] = {}  # of all workers before the message, also of those that are not expected back

    def hears(self, books: Books) -> None:
        """Note everything that is not the hostile worker's, before the master handles a message from it."""
        self._before = _others(books)
        self._known = {*books.drivers, *books.completed_drivers}
        self._keys = {worker.record.id: worker.record.key for worker in books.workers.values()}

    def heard(self, books: Books, message: Any) -> None:
        """Compare, after the master has handled it."""
        for worker in books.workers.values():
            was, key = self._keys.get(worker.record.id, ""), worker.record.key
            if was and was != key:
                self._fail("walls", f"{worker.record.id} changes from the key of {was} to that of {key} by {message}")
        after = _others(books)
        kept = {*books.drivers, *books.completed_drivers}
        for name, was in self._before.items():
            if name.startswith("driver-") and name not in kept:
                continue  # the history is limited
            if after.get(name) != was:
                self._fail("walls", f"{name} changes from {was} to {after.get(name)} by {message} of a hostile worker")
        for name in after.keys() - self._before.keys() - self._known:
            self._fail("walls", f"{name} is new: {after[name]} by {message} of a hostile worker")
        for driver in books.drivers.values():
            if self._is_stolen(driver) and (driver.record.description.supervise or driver.record.principal):
                self._fail(
                    "walls", f"{driver.record} is invented: it could be started elsewhere, or belongs to somebody"
                )

    def sends(self, books: Books, to: str, message: Any) -> None:
        """Check a message before it is sent: no honest worker loses a job because a hostile one claims it."""
        if isinstance(message, LaunchDriver) and message.driver_id in INVENTED:
            self._fail("walls", f"{to} has to start {message.driver_id}, which a hostile worker has invented")
        if to == HOSTILE:
            if isinstance(message, LaunchDriver):
                self._placed.add((message.driver_id, message.attempt))
        elif isinstance(message, KillDriver) and to not in self._unsealed:
            driver = books.drivers.get(message.driver_id)
            if driver is not None and self._is_stolen(driver) and not driver.record.kill_requested:
                self._fail("walls", f"{to} has to kill {message.driver_id}, which a hostile worker claims to run")

    def _is_stolen(self, driver: Driver) -> bool:
        attempts = driver.record.attempts
        is_there = bool(attempts) and attempts[-1].worker_key == HOSTILE
        return is_there and (driver.record.id, attempts[-1].number) not in self._placed


def _others(books: Books) -> State:
    """Return what does not belong to the hostile worker, as text: drivers and executors elsewhere, applications, workers."""
    found: State = {}
    for driver in (*books.drivers.values(), *books.completed_drivers.values()):
        attempts = driver.record.attempts
        if not attempts or attempts[-1].worker_key != HOSTILE:
            # Which jobs it still waits for follows from their ends, and those may be the hostile worker's.
            found[driver.record.id] = _text(msgspec.structs.replace(driver.record, awaits=()))
    for app in (*books.apps.values(), *books.completed_apps.values()):
        record = app.record
        found[record.id] = (record.state, record.principal, record.next_executor_id, app.retries)
        for number, executor in app.executors.items():
            if executor.worker_key != HOSTILE:
                found[f"{record.id}/{number}"] = _text(executor)
    for worker in books.workers.values():
        is_expected = worker.record.state is not WorkerState.DEAD or worker.reconnect_until is not None
        if worker.record.key != HOSTILE and is_expected:  # the address of another one is free (ADR 23)
            entry = msgspec.structs.replace(worker.record, last_heartbeat=0.0)
            found[worker.record.id] = (_text(entry), worker.peer, worker.last_seen, worker.leaving, worker.keeping)
    return found


def _text(record: Any) -> bytes:
    return msgspec.json.encode(record)
