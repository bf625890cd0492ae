"""The keys that a master admits: its ``authorized`` file, and the ZAP handler that answers libzmq (RFC 27)."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from zmq.utils import z85

from stoker.core.model.states import Role
from stoker.errors import ConfigError
from stoker.security.audit import audit
from stoker.security.files import numbered_words, stamp
from stoker.security.keys import KEY
from stoker.security.times import seconds_of

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = "stoker"

_CHECK_INTERVAL = 0.4  # seconds between two looks at whether ``authorized`` has changed, without new connections
_MOST_LOGGED = 1000  # refused keys remembered so that each is logged once

log: logging.Logger = logging.getLogger(__name__)


class Peer(NamedTuple):
    """A line of ``authorized``. ``expires``: seconds since the Unix epoch, 0 for never. A person's line has that word, a
    machine's has not."""

    role: Role
    name: str
    expires: float = 0.0
    is_person: bool = False


class Authorizer:
    """The master's ``authorized`` file (in the keys folder), followed as it changes, without the keys that have expired.

    A key that is removed is refused on new connections from then on, and on open ones from the next look, at most half a
    second later.
    ``version`` grows with each change of the keys; ``look_by`` is when the next look is due (``time.monotonic`` seconds).
    While running, a file that has become malformed or unreadable is logged and changes nothing: a typing error must not
    cut a cluster off. Raises ConfigError (file:line) when it is malformed or missing at the start.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "authorized"
        self._stamp = stamp(self._path)
        self._peers = parse_authorized(self._path)
        self._drop_expired()
        self.version = 1
        self.look_by = time.monotonic() + _CHECK_INTERVAL
        self._logged: set[str] = set()

    def look_if_due(self) -> None:
        if time.monotonic() >= self.look_by:
            self._look()

    def lookup(self, key: str) -> tuple[Role, str] | None:
        """Return the role and name of a public key; None when it is not admitted."""
        self.look_if_due()
        peer = self._peers.get(key)
        return None if peer is None else (peer.role, peer.name)

    def kin(self, key: str) -> frozenset[str]:
        """Return the keys of the same role and name: those of one machine while its keys are changed."""
        peer = self.lookup(key)
        return frozenset(
            other for other, known in self._peers.items() if (known.role, known.name) == peer and other != key
        )

    def _look(self) -> None:
        self.look_by = time.monotonic() + _CHECK_INTERVAL
        if stamp(self._path) != self._stamp:
            self.reload()
        elif self._drop_expired():
            self.version += 1

    def reload(self) -> None:
        """Read the file again now."""
        self._stamp = stamp(self._path)
        before = self._peers
        try:
            self._peers = parse_authorized(self._path)
            self._drop_expired()
        except ConfigError as error:
            log.error("keeping the %d keys admitted before: %s", len(self._peers), error)
        else:
            self.version += 1
            self._logged.clear()
            log.info("%s: %d keys admitted", self._path, len(self._peers))
            for key in before.keys() - self._peers.keys():
                self._audit("key-removed", before[key])
            for key in self._peers.keys() - before.keys():
                self._audit("key-added", self._peers[key])

    def _audit(self, action: str, peer: Peer) -> None:
        """Record a change of the file, which does not say who made it; `stoker keys` records that itself."""
        audit(action, f"{peer.role.value}:{peer.name}", who="", door=self._path.name)

    def _drop_expired(self) -> bool:
        now = time.time()
        expired = [key for key, peer in self._peers.items() if 0 < peer.expires <= now]
        for key in expired:
            log.info("the key of %s has expired", self._peers.pop(key).name)
        return bool(expired)

    def admits(self, key: str, address: str) -> bool:
        """Return whether this key may connect; a rejected key is logged once."""
        self._look()
        admitted = self.lookup(key) is not None
        if not admitted and key not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(key)
            log.warning("refused %s: its key is not in %s: %s", address, self._path, key)
        return admitted


class Admission:
    """The ZAP handler (RFC 27): who may connect, and the user id that connection's messages carry from then on.

    With an authorizer, an admitted key by CURVE in our domain; without one, everybody. Everything else is denied.
    The user id is ``SERIAL KEY``. Serials grow: io.presence tells by them which of two connections was the earlier.
    """

    def __init__(self, authorizer: Authorizer | None) -> None:
        self._authorizer = authorizer
        self._serial = itertools.count(1)

    def reply(self, request: Sequence[bytes]) -> list[bytes]:
        """The answer to a request; both as the frames of a message."""
        version, request_id, domain, address, _, mechanism, *credentials = [*request, *[b""] * 6]
        if version != b"1.0":
            return [b"1.0", request_id, b"500", b"unknown ZAP version", b"", b""]
        key = self._admitted_key(mechanism, credentials[0], address) if domain == ZAP_DOMAIN.encode() else None
        if key is None:
            return [b"1.0", request_id, b"400", b"refused", b"", b""]
        return [b"1.0", request_id, b"200", b"OK", f"{next(self._serial)} {key}".encode(), b""]

    def _admitted_key(self, mechanism: bytes, credential: bytes, address: bytes) -> str | None:
        if self._authorizer is None:
            return "" if mechanism == b"NULL" else None
        if mechanism != b"CURVE" or len(credential) != 32:
            return None
        key = z85.encode(credential).decode()
        return key if self._authorizer.admits(key, address.decode("ascii", "replace")) else None


@lru_cache(4096)  # once for each message otherwise
def parse_user_id(user_id: str) -> tuple[int, str]:
    """(serial of the connection, public key or empty) from a user id that ``Admission`` gave."""
    serial, _, key = user_id.partition(" ")
    return int(serial), key


def parse_authorized(path: Path) -> dict[str, Peer]:
    """Return the lines by public key, also expired ones. Raises ConfigError (file:line)."""
    peers: dict[str, Peer] = {}
    for where, words in numbered_words(path):
        if len(words) not in (3, 4) or words[0] not in set(Role) or not KEY.fullmatch(words[1]):
            roles = "|".join(role.value for role in Role)
            raise ConfigError(f"{where}: not `ROLE PUBLIC-KEY NAME [EXPIRES]` (role {roles}, key 40 characters of Z85)")
        if words[1] in peers:
            raise ConfigError(f"{where}: this key has a line already; a key has one role")
        try:
            expires = seconds_of(words[3]) if words[3:] not in ([], ["-"]) else 0.0
        except ValueError:
            raise ConfigError(f"{where}: {words[3]!r} is no time: write it like 2030-12-31T00:00:00Z, or -") from None
        peers[words[1]] = Peer(Role(words[0]), words[2], expires, len(words) == 4)
    return peers
