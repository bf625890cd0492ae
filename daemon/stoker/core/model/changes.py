"""What ``stoker update`` changes about a job, and ``stoker what-if``, without doing it, about the cluster."""

# Annotations stay values, as in messages.py.

from typing import Annotated

import msgspec

from stoker.core.model.limits import span
from stoker.core.model.resources import Amounts, check_amounts
from stoker.core.model.values import (
    HIGHEST_PRIORITY,
    POOL_NAME,
    UNLIMITED,
    Value,
    check_sharing,
    check_time_limit,
)

MOST_ADDED = 10_000  # workers, or drivers, of one forecast


class JobChange(Value, frozen=True):
    """New values for a driver or an application; None, and for the pool "", leave a value as it is. Raises ValueError for an
    illegal value."""

    pool: Annotated[str, msgspec.Meta(pattern=f"^({POOL_NAME.pattern})?$")] = ""
    priority: Annotated[int, msgspec.Meta(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY)] | None = None
    time_limit: Annotated[float, msgspec.Meta(ge=0, le=UNLIMITED)] | None = None  # seconds; 0: no limit

    def __post_init__(self) -> None:
        check_sharing(self.pool, self.priority)
        check_time_limit(self.time_limit or 0.0)

    @property
    def is_nothing(self) -> bool:
        return not self.pool and self.priority is None and self.time_limit is None

    @property
    def words(self) -> str:
        """The new values, for people."""
        named = (("pool", self.pool or None), ("priority", self.priority), ("time limit", self.time_limit))
        return ", ".join(f"{name} {_value(name, value)}" for name, value in named if value is not None)


def _value(name: str, value: object) -> str:
    if name != "time limit":
        return str(value)
    assert isinstance(value, float)
    return span(value) if value else "none"


class AddedWorkers(Value, frozen=True):
    """``number`` new workers that are alike. Raises ValueError for illegal amounts."""

    cores: Annotated[int, msgspec.Meta(ge=1, le=UNLIMITED)]
    memory_mib: Annotated[int, msgspec.Meta(ge=1, le=UNLIMITED)]
    number: Annotated[int, msgspec.Meta(ge=1, le=MOST_ADDED)] = 1
    resources: Amounts = ()  # how many of each named one a worker has

    def __post_init__(self) -> None:
        check_amounts(self.resources)


class AddedDrivers(Value, frozen=True):
    """``number`` new drivers that are alike. Raises ValueError for illegal amounts."""

    cores: Annotated[int, msgspec.Meta(ge=1, le=UNLIMITED)]
    memory_mib: Annotated[int, msgspec.Meta(ge=1, le=UNLIMITED)]
    number: Annotated[int, msgspec.Meta(ge=1, le=MOST_ADDED)] = 1
    resources: Amounts = ()
    seconds: Annotated[float, msgspec.Meta(ge=0, le=UNLIMITED)] = 0.0  # how long each runs; 0: unknown

    def __post_init__(self) -> None:
        check_amounts(self.resources)


class WhatIf(Value, frozen=True):
    """What ``what-if`` changes about the cluster, and what it assumes. Raises ValueError for what makes no sense."""

    add: tuple[AddedWorkers, ...] = ()
    remove: tuple[str, ...] = ()  # workers that get nothing new: id, HOST:PORT or HOST; what runs there ends there
    pools: str = ""  # the text of a pools.yml in place of the present one
    submit: tuple[AddedDrivers, ...] = ()
    pool: Annotated[str, msgspec.Meta(pattern=f"^({POOL_NAME.pattern})?$")] = ""  # of what is submitted
    priority: Annotated[int, msgspec.Meta(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY)] | None = None
    assume: Annotated[float, msgspec.Meta(ge=0, le=UNLIMITED)] = 0.0  # seconds of a job of unknown length; 0: as others

    def __post_init__(self) -> None:
        check_sharing(self.pool, self.priority)
        if not self.submit and (self.pool or self.priority is not None):
            raise ValueError("pool and priority are of what submit submits")
        for name, kinds in (("add", self.add), ("submit", self.submit)):
            if sum(kind.number for kind in kinds) > MOST_ADDED:
                raise ValueError(f"{name}: give {MOST_ADDED:,} at most")


class ForecastRow(Value, frozen=True):
    """A job that waits. ``before``: seconds from now until it starts, as the cluster is; ``after``: with the changes; None:
    never. An array starts with the last of its tasks."""

    id: str  # "": it is one of those that ``WhatIf.submit`` adds, and has no ``before``
    name: str
    who: str
    pool: str
    before: float | None
    after: float | None
    is_new: bool = False
