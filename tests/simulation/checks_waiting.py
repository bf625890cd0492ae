"""What jobs wait for besides room: what was acknowledged as held is on record, and is not started before somebody releases
it; no driver starts before its parents have ended, or waits for one that has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stoker.core.master.arrays.booking import task_of
from stoker.core.master.books import Books
from stoker.core.master.effects import Effect, Send
from stoker.core.model.messages import HoldJob, LaunchDriver, LaunchExecutor
from stoker.core.model.states import DriverState

Fail = Callable[[str, str], None]


class Holds:
    def __init__(self, fail: Fail) -> None:
        self._fail = fail
        self._held: set[str] = set()  # whose hold was acknowledged
        self._released: set[str] = set()  # that somebody has asked to release: they may go on at any time from then

    def asked(self, message: Any) -> None:
        if isinstance(message, HoldJob) and not message.hold:
            self._released.add(message.id)

    def accepted(self, question: Any, record: Any) -> None:
        """Check an acknowledgement before it is sent. ``record``: of the job, as it is stored; None: of no job."""
        if not isinstance(question, HoldJob) or not question.hold or question.id in self._released:
            return
        if record is not None and record.hold is None and not record.state.is_final:
            self._fail("record", f"the hold of {question.id} is acknowledged, on record is {record}")
        self._held.add(question.id)

    def decided(self, effects: Iterable[Effect], *, is_leader: bool) -> None:
        """Check what a master starts that nobody has deposed."""
        for effect in effects if is_leader else ():
            launch = effect.message if isinstance(effect, Send) else None
            if isinstance(launch, LaunchDriver) and (
                {launch.driver_id, launch.driver_id.partition("_")[0]} & (self._held - self._released)
            ):
                self._fail("hold", f"{launch.driver_id} is held, and attempt {launch.attempt} is started")
            if isinstance(launch, LaunchExecutor) and launch.app_id in self._held - self._released:
                self._fail("hold", f"{launch.app_id} is held, and gets executor {launch.executor_id}")


def check_parents(books: Books, effects: Iterable[Effect], fail: Fail) -> None:
    for driver_id, driver in books.drivers.items():
        if (driver.tasks is not None and not driver.record.awaits) or task_of(books, driver_id) is not None:
            continue  # parked for its limit, or in its array
        if driver.record.state is DriverState.SUBMITTED and driver_id in books.parked and driver.record.hold is None:
            waits_for = [parent_id for parent_id in driver.record.description.after if parent_id in books.drivers]
            if not waits_for:
                fail("after", f"{driver_id} waits, and all drivers that it is to start after have ended")
    for effect in effects:
        launch = effect.message if isinstance(effect, Send) else None
        if isinstance(launch, LaunchDriver):
            for parent_id in launch.driver.after:
                if parent_id in books.drivers:
                    fail("after", f"{launch.driver_id} is started before the end of {parent_id}")
                parent = books.completed_drivers.get(parent_id)
                if launch.driver.after_end == "ok" and parent and parent.record.state is not DriverState.FINISHED:
                    fail("after", f"{launch.driver_id} is started, and {parent_id} is {parent.record.state.value}")
