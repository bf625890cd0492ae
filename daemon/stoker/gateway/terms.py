"""What the master's side knows of Spark clients without loading the gateway: their terms, and the names of their peers."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

from stoker.core.model.principal import GATEWAY
from stoker.io.peer_user import name_of_user
from stoker.security.spark_secrets import SparkSecret, SparkSecrets

LONG_SECRET = 16  # characters, from which on no number of guesses finds a random one
PEER_PREFIX = b"spark/"  # of the routing ids of all Spark clients; ZeroMQ peers' begin with their role


@dataclass(frozen=True, slots=True)
class Terms:
    """What a Spark client must do to be let in: prove ``secret``, or one of ``named``. Without both: nothing; with
    ``own_user_only`` its process must be this user's or root's. Without ``sasl``, which does not encrypt, it must use Spark's
    own protocol; with ``only_gcm`` it must encrypt by AES-GCM. ``closed``: none is let in."""

    secret: str = ""
    own_user_only: bool = False
    sasl: bool = True
    only_gcm: bool = False
    closed: bool = False
    named: SparkSecrets | None = None

    @property
    def principal(self) -> str:
        """What a client proves without a name: that it knows ``secret``, or is this user (or root); else nothing (ADR 22)."""
        if self.asks_for_secret:
            return GATEWAY
        return _own_user() if self.own_user_only else ""

    @property
    def asks_for_secret(self) -> bool:
        return bool(self.secret) or self.named is not None

    @property
    def known(self) -> tuple[SparkSecret, ...]:
        """The secrets that a client may prove now."""
        common = (SparkSecret(self.principal, "", self.secret),) if self.secret else ()
        return (*common, *self.named.by_name.values()) if self.named is not None else common

    def of(self, principal: str) -> SparkSecret | None:
        """Return the secret of jobs of that principal. The secret without a name is that of jobs without one; those recorded
        by release 0.1.0 have none."""
        found = self.named.by_name.get(principal) if self.named is not None else None
        if found is None and self.secret and principal in ("", GATEWAY):
            return SparkSecret(self.principal, "", self.secret)
        return found

    @property
    def is_guessable(self) -> bool:
        """Whether guesses must be limited by address, though that rejects everybody at the address for a while."""
        return 0 < len(self.secret) < LONG_SECRET


@functools.cache
def _own_user() -> str:
    return name_of_user(os.geteuid())
