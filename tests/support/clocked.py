"""A pure core that a test drives by a clock of its own."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar


class _Core(Protocol):
    def tick(self, now: float) -> None: ...

    def next_deadline(self) -> float: ...


C = TypeVar("C", bound=_Core)


class Clocked(Generic[C]):
    """What drives ``core``. ``_take`` looks at the core's effects."""

    core: C
    now: float

    def advance(self, seconds: float) -> None:
        """Let time pass, with a tick at every deadline on the way."""
        end = self.now + seconds
        for _ in range(10_000):
            self.core.tick(self.now)
            self._take()
            if self.core.next_deadline() > end:
                break
            self.now = max(self.now, self.core.next_deadline())
        else:
            raise AssertionError("the core's deadline does not move on: it would spin")
        self.now = end

    def _take(self) -> None:
        raise NotImplementedError
