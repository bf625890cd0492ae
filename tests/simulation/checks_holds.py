"""Holds are kept: what was acknowledged as held is on record, and is not started before somebody releases it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stoker.core.master.effects import Effect, Send
from stoker.core.model.messages import HoldJob, LaunchDriver, LaunchExecutor

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

    def decided(self, effects: Iterable[Effect]) -> None:
        """Check what a master starts that nobody has deposed."""
        for effect in effects:
            launch = effect.message if isinstance(effect, Send) else None
            if isinstance(launch, LaunchDriver) and launch.driver_id in self._held - self._released:
                self._fail("hold", f"{launch.driver_id} is held, and attempt {launch.attempt} is started")
            if isinstance(launch, LaunchExecutor) and launch.app_id in self._held - self._released:
                self._fail("hold", f"{launch.app_id} is held, and gets executor {launch.executor_id}")
