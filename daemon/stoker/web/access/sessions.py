"""Browser sessions, in memory only: after a restart of the daemon people log in again."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from typing import NamedTuple

from stoker.security.tokens import Token

MOST = 1000  # sessions; the least recently used one makes room


class _Session(NamedTuple):
    token: Token
    address: str
    ends: float  # time.monotonic seconds


class Sessions:
    """Sessions that end after ``timeout`` seconds without a request. Thread-safe.

    A session works only from the address that began it. Without TLS, browsers send a host's cookies to all of its ports, so
    also to a job's own pages there: who reads the cookie there cannot use it from another machine."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}  # hash of the cookie -> session, longest unused first

    def start(self, token: Token, address: str = "") -> str:
        """Start a session from that address; return the value of its cookie."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._drop_ended()
            while len(self._sessions) >= MOST:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[_key(secret)] = _Session(token, address, time.monotonic() + self._timeout)
        return secret

    def find(self, secret: str, address: str = "") -> Token | None:
        """Return the session's token, and prolong the session; None for one that has ended or belongs to another address."""
        key = _key(secret)
        with self._lock:
            session = self._sessions.get(key)
            if session is None or session.address != address:
                return None
            del self._sessions[key]
            if session.ends < time.monotonic():
                return None
            self._sessions[key] = session._replace(ends=time.monotonic() + self._timeout)
            return session.token

    def end(self, secret: str) -> None:
        with self._lock:
            self._sessions.pop(_key(secret), None)

    def _drop_ended(self) -> None:
        now = time.monotonic()
        for key in [key for key, session in self._sessions.items() if session.ends < now]:
            del self._sessions[key]


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
