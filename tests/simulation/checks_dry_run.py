"""A dry run's answer equals what submitting right after does.

Where a submission is all that a master's batch has, the same driver is tried before: nothing happens between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stoker.core.master.effects import Effect, Received, Send
from stoker.core.master.machine import MasterCore
from stoker.core.model.messages import DryRun, DryRunResult, Failed, LaunchDriver, SubmitDriver, Submitted
from stoker.core.model.values import Now

Fail = Callable[[str, str], None]


class Rehearsal:
    """The answer to one dry run, until the batch of the submission is over. ``verdict``: "" where it is refused."""

    def __init__(self, answer: Any) -> None:
        self.verdict: str = answer.verdict if isinstance(answer, DryRunResult) else ""

    def compare(self, effects: Iterable[Effect], fail: Fail) -> None:
        sent = [effect.message for effect in effects if isinstance(effect, Send)]
        if any(isinstance(message, Failed) for message in sent):
            if self.verdict:
                fail("dry-run", f"a dry run says {self.verdict!r}, and the submission is refused")
            return
        accepted = next((message.driver_id for message in sent if isinstance(message, Submitted)), "")
        # An array starts with its first task, ARRAY_INDEX.
        launched = (message.driver_id for message in sent if isinstance(message, LaunchDriver))
        starts = any(driver_id == accepted or driver_id.startswith(f"{accepted}_") for driver_id in launched)
        if accepted and starts != (self.verdict == "now"):
            what = "starts" if starts else "does not start"
            fail("dry-run", f"a dry run says {self.verdict or 'refused'!r}, and {accepted} {what}")


def rehearse(core: MasterCore, batch: Sequence[Any], now: Now) -> Rehearsal | None:
    """Try the submission that is all of the batch; None if it is something else, or more is due with it."""
    message = getattr(batch[0], "message", None) if len(batch) == 1 else None
    if not isinstance(message, SubmitDriver) or message.token in core.ctx.books.tokens:
        return None
    if core.next_deadline() <= now.mono or core.ctx._effects:
        return None
    event = batch[0]
    question = DryRun(request=message.request, driver=message.driver)
    core.handle(Received(event.peer, event.key, event.role, question, event.name), now)
    (answer,) = core.ctx.take_effects()
    return Rehearsal(answer.message) if isinstance(answer, Send) else None
