"""What ``stoker update`` changes about a job."""

# Annotations stay values, as in messages.py.

from typing import Annotated

import msgspec

from stoker.core.model.limits import span
from stoker.core.model.values import (
    HIGHEST_PRIORITY,
    POOL_NAME,
    UNLIMITED,
    Value,
    check_sharing,
    check_time_limit,
)


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
