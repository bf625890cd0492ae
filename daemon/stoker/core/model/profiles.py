"""Resource profiles: executors of several sizes for one application, as Spark's stage-level scheduling asks for them.

Profile 0 is the application's own description; the others are numbered by the application. The executors of a profile are
launched by a description that has the profile's sizes in place of its own, so workers need not know of profiles.
"""

# Annotations stay values, as in messages.py.

import msgspec

from stoker.core.model.resources import Amounts, check_amounts
from stoker.core.model.values import UNLIMITED, ApplicationDescription, Command, Value

MIN_EXECUTORS_PROPERTY = "spark.stoker.app.minExecutors"
MIN_EXECUTORS_VARIABLE = "STOKER_MIN_EXECUTORS"  # the same, in the environment of drivers and executors
EXECUTOR_MIN_EXECUTORS = f"spark.executorEnv.{MIN_EXECUTORS_VARIABLE}"

DEFAULT_PROFILE = 0
MOST_PROFILES = 256  # of one application: each has a place in its record
_ID = "{{RESOURCE_PROFILE_ID}}"


class Profile(Value, frozen=True):
    """What each executor of the profile needs, and how many executors are wanted. Raises ValueError for an illegal value."""

    id: int  # at least 1
    executor_limit: int
    memory_mib: int
    cores_per_executor: int | None = None  # None: as in ``ApplicationDescription``
    resources: Amounts = ()

    def __post_init__(self) -> None:
        for name, value, least in (
            ("id", self.id, 1),
            ("executor_limit", self.executor_limit, 0),
            ("memory_mib", self.memory_mib, 0),
            ("cores_per_executor", 1 if self.cores_per_executor is None else self.cores_per_executor, 1),
        ):
            if not least <= value <= UNLIMITED:
                raise ValueError(f"{name} of a resource profile must be between {least} and {UNLIMITED}, not {value}")
        check_amounts(self.resources)


def with_profile(app: ApplicationDescription, profile: Profile | None) -> ApplicationDescription:
    """Return the description that launches executors of the profile; None: the default profile."""
    if profile is None:
        return msgspec.structs.replace(app, profile=DEFAULT_PROFILE) if app.profile else app
    number = str(profile.id)
    command = Command(
        argv=tuple(word.replace(_ID, number) for word in app.command.argv),
        env={name: value.replace(_ID, number) for name, value in app.command.env.items()},
    )
    return msgspec.structs.replace(
        app,
        command=command,
        cores_per_executor=profile.cores_per_executor,
        memory_mib=profile.memory_mib,
        resources=profile.resources,
        profile=profile.id,
    )
