"""What the master's side knows of Spark clients without loading the gateway: their terms, and the names of their peers."""

from __future__ import annotations

from dataclasses import dataclass

LONG_SECRET = 16  # characters, from which on no number of guesses finds a random one
PEER_PREFIX = b"spark/"  # of the routing ids of all Spark clients; ZeroMQ peers' begin with their role


@dataclass(frozen=True, slots=True)
class Terms:
    """What a Spark client must do to be let in. ``secret`` empty: nothing; with ``own_user_only`` its process must be this
    user's or root's. Without ``sasl``, which does not encrypt, it must use Spark's own protocol; with ``only_gcm`` it must
    encrypt by AES-GCM. ``closed``: none is let in."""

    secret: str = ""
    own_user_only: bool = False
    sasl: bool = True
    only_gcm: bool = False
    closed: bool = False

    @property
    def is_guessable(self) -> bool:
        """Whether guesses must be limited by address, though that rejects everybody at the address for a while."""
        return 0 < len(self.secret) < LONG_SECRET
