"""Jobs whose output is followed: drivers, whose changes the master reports; executors and single attempts, whose state the
client polls."""

from __future__ import annotations

import math
import time

from stoker.client.logs.follower import RETRY_ERROR, FollowedJob
from stoker.client.session.asker import Askable
from stoker.client.session.session import Session
from stoker.core.model.messages import DriverUpdate, GetStatus, Message, Status, WatchDriver
from stoker.core.model.views import DriverView
from stoker.errors import NotFound, StokerError

FORGOTTEN_AFTER = 15.0  # seconds until a known driver counts as forgotten; workers are back within 10 or not at all


class WatchedDriver(FollowedJob):
    """A driver whose changes the master reports, as ``Client.submit_watched`` returns it."""

    failure: StokerError | None  # why it cannot be watched
    view: DriverView | None  # the latest; None before the first report

    def __init__(self, session: Session, driver_id: str, *, known: bool = False) -> None:
        super().__init__(driver_id, -1, driver_id)
        self.view = None
        self._session = session
        self._known = known  # that it exists: a master without records learns of it when its worker registers
        self._missing_since: float | None = None
        self._watch_at = math.inf

    def watch(self) -> None:
        self._watch_at = math.inf
        self._session.ask(self.question(), self.take)

    def question(self) -> WatchDriver:
        return WatchDriver(request=0, driver_id=self.id)

    def take(self, message: Message) -> bool:
        """Use an answer to the watch; return whether it was the last."""
        try:
            if isinstance(message, DriverUpdate):
                self.view, self._known, self._missing_since = message.driver, True, None
                return message.driver.state.is_final
            self._session.checked(message)
        except NotFound as error:
            self._not_found(error)
        except StokerError as error:
            self.failure = error
        finally:
            self.changed()
        return True

    def _not_found(self, error: NotFound) -> None:
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        if self._known and now < self._missing_since + FORGOTTEN_AFTER:
            self._watch_at = now + RETRY_ERROR
            self.wake()
        else:
            self.failure = error

    @property
    def run(self) -> int:
        return self.view.attempts[-1].number if self.view is not None and self.view.attempts else 0

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or cannot be watched."""
        return self.failure is not None or (self.view is not None and self.view.state.is_final)

    def work(self) -> float:
        if time.monotonic() >= self._watch_at:
            self.watch()
        return self._watch_at


class _Polled(FollowedJob):
    """A single run. The state of its job is asked for only when its output does not come."""

    def __init__(self, asker: Askable, job_id: str, executor_id: int, name: str) -> None:
        super().__init__(job_id, executor_id, name)
        self._asker = asker
        self._is_over = False
        self._asking = False

    @property
    def is_over(self) -> bool:
        return self._is_over

    def lives(self, status: Status) -> bool:
        """Return whether the run goes on, by the state of its job."""
        raise NotImplementedError

    def check(self) -> None:
        if not self._asking:
            self._asking = True
            self._asker.ask(GetStatus(request=0, id=self.id), self._take)

    def _take(self, answer: Message) -> bool:
        self._asking = False
        lives = isinstance(answer, Status) and self.lives(answer)
        if self._is_over is lives:
            self._is_over = not lives
            self.changed()
        return True

    def run_ended(self) -> None:
        self._is_over = True


class PolledExecutor(_Polled):
    """An executor."""

    def __init__(self, asker: Askable, app_id: str, executor_id: int) -> None:
        super().__init__(asker, app_id, executor_id, f"{app_id}/{executor_id}")

    def lives(self, status: Status) -> bool:
        app = status.app
        return app is not None and any(executor.id == self.executor_id for executor in app.executors)


class PolledAttempt(_Polled):
    """One attempt of a driver."""

    def __init__(self, asker: Askable, driver_id: str, attempt: int) -> None:
        super().__init__(asker, driver_id, -1, f"attempt {attempt} of {driver_id}")
        self.attempt = attempt

    def lives(self, status: Status) -> bool:
        attempts = status.driver.attempts if status.driver is not None else ()
        return any(attempt.number == self.attempt and not attempt.state.is_final for attempt in attempts)
