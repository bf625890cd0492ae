"""What a worker knows of its own host: is it well enough for new jobs?

The shell measures (disk, health script) and reports what its keeper thinks of ``users.yml``; refusals are counted here. After
several in a row the host is unfit until a probe, which the shell makes, succeeds.
"""

from __future__ import annotations

from typing import Protocol

from stoker.core.model.values import Exit, Unfit

REFUSALS_IN_A_ROW = 3
REFUSALS = "refusals"
USERS = "users"  # no job has an account
_NOT_MEASURED = (REFUSALS, USERS)


class Changed(Protocol):
    def __call__(self, *, is_news: bool) -> None: ...


class Fitness:
    """``changed`` is called after each change of ``unfit``; it is no news if only the words are others, as for a disk that
    has less room than before."""

    def __init__(self, changed: Changed) -> None:
        self.unfit: tuple[Unfit, ...] = ()
        self._changed = changed
        self._refusals = 0

    @property
    def wants_probe(self) -> bool:
        """Return whether the host is unfit because it refused jobs: a probe may show that the cause has gone."""
        return any(one.kind == REFUSALS for one in self.unfit)

    @property
    def objection(self) -> str:
        """Return why a new job is refused here; "" on a host that is well."""
        return "; ".join(one.text for one in self.unfit)

    def measured(self, found: tuple[Unfit, ...]) -> None:
        """Replace what earlier measurements found; refusals and ``users.yml`` are not measured."""
        self._set((*found, *(one for one in self.unfit if one.kind in _NOT_MEASURED)))

    def no_accounts(self, fault: str, wall: float) -> None:
        """Note why no job has an account here; "" if jobs have."""
        other = tuple(one for one in self.unfit if one.kind != USERS)
        self._set((*other, Unfit(kind=USERS, text=fault, since=wall)) if fault else other)

    def could_not_start(self, exit: Exit, wall: float) -> None:
        """Count a job that failed before it started, if the worker is to blame."""
        if not exit.refused:
            return
        self._refusals += 1
        if self._refusals >= REFUSALS_IN_A_ROW and not self.wants_probe:
            text = f"it refused {self._refusals} jobs in a row: {exit.reason}"
            self._set((*self.unfit, Unfit(kind=REFUSALS, text=text, since=wall)))

    def works(self) -> None:
        """Note that a job has started, or that a probe succeeded."""
        self._refusals = 0
        if self.wants_probe:
            self._set(tuple(one for one in self.unfit if one.kind != REFUSALS))

    def _set(self, unfit: tuple[Unfit, ...]) -> None:
        if unfit != self.unfit:
            before, self.unfit = self.unfit, unfit
            self._changed(is_news=[one.kind for one in before] != [one.kind for one in unfit])
