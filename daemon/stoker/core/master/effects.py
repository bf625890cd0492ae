"""The input of the master's core, *events*, and its output, *effects*: what its shell must do.

The shell commits every ``Persist`` and ``ForgetRecord`` of a batch in one durable write, and only then releases the ``Send``s
(docs/architecture.md). The frequent ones are msgspec's structs, which take a quarter of a dataclass's time to make.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from stoker.core.model.messages import Message
from stoker.core.model.principal import CLIENT_DOORS, Asker
from stoker.core.model.states import Role
from stoker.core.model.values import ApplicationDescription, Door


class Received(msgspec.Struct, frozen=True):
    """A message from a peer whose key and role the shell has checked.

    ``principal`` is the name it has proved ("": none), ``door`` how it came if that is not the message's to say. ``key``
    goes into records for masters of release 0.1.0; it carries no rights."""

    peer: bytes
    key: str
    role: Role
    message: Message
    principal: str = ""
    door: Door = ""
    kin: frozenset[str] = frozenset()  # of a registering worker: keys that ``authorized`` gives the same name
    pool: str = ""  # of what it submits, if that names none

    @property
    def asker(self) -> Asker:
        claimed = getattr(self.message, "door", "")
        door: Door = self.door or (claimed if claimed in CLIENT_DOORS else "cli")
        return Asker(self.principal, self.role is Role.ADMIN, door, self.pool)


@dataclass(frozen=True, slots=True)
class Gone:
    """A connection is closed."""

    peer: bytes


Event = Received | Gone


# --- effects -------------------------------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True):
    """Send a message to a connection; ``peer`` is its routing id."""

    peer: bytes
    message: Message


class Persist(msgspec.Struct, frozen=True):
    """Write a record under ``key``, e.g. ``driver/driver-...``, and replace an earlier one."""

    key: str
    record: Any


@dataclass(frozen=True, slots=True)
class ForgetRecord:
    """Delete the record under ``key``."""

    key: str


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the operator; ``level`` as in ``logging``. ``peer``: who can cause any number of such lines; the shell
    limits them."""

    level: int
    text: str
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Invite:
    """Notify the driver of an unmodified Spark application that this master leads now; try for ``within`` seconds. Such a
    driver waits for a master to call."""

    app_id: str
    app: ApplicationDescription
    webui_url: str
    within: float
    principal: str = ""  # whose it is; "": nobody's, or unknown


Effect = Send | Persist | ForgetRecord | Log | Invite


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch's effects in the order they may happen: first ``writes``, in one durable write, and only then ``after``."""

    writes: dict[str, Any]  # key -> record, or None to delete it
    after: tuple[Send | Log | Invite, ...]


def batch_of(effects: Iterable[Effect]) -> Batch:
    """Return what a shell must do for the effects of one batch. Of several writes to one key the last one counts."""
    writes: dict[str, Any] = {}
    after: list[Send | Log | Invite] = []
    for effect in effects:
        if isinstance(effect, Persist):
            writes[effect.key] = effect.record
        elif isinstance(effect, ForgetRecord):
            writes[effect.key] = None
        else:
            after.append(effect)
    return Batch(writes, tuple(after))
