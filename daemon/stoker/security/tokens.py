"""Tokens for browsers, scripts and monitors, with name, role and expiry. Only their hashes are stored.

``KEYS/tokens`` (0600) has one line a token: ``ID ROLE SHA256 CREATED EXPIRES NAME``. A token is 256 random bits, so one
round of SHA-256 is enough: it cannot be guessed. Daemons follow the file as it changes.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from pathlib import Path
from typing import NamedTuple

from stoker.errors import ConfigError, NotFound, UsageError
from stoker.security.files import check_private, locked, read_text, stamp, write_private
from stoker.security.roles import ROLES, AccessRole, Identity
from stoker.security.times import iso, seconds_of

LOG = logging.getLogger(__name__)
PREFIX = "stoker_"  # so that people and secret scanners know one when they see it
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{8}")
_HEAD = "# ID ROLE SHA256 CREATED EXPIRES NAME   (made by: stoker token create)\n"
_LOOK_EVERY = 0.4  # seconds between two looks at whether the file has changed


class Token(NamedTuple):
    """The record of a token. Times in seconds since the Unix epoch; ``expires`` 0: never."""

    id: str
    role: AccessRole
    digest: str
    created: float
    expires: float
    name: str

    def is_valid(self, wall: float) -> bool:
        return not self.expires or wall < self.expires

    @property
    def identity(self) -> Identity:
        return Identity(self.name, self.role, principal=self.name)

    @property
    def line(self) -> str:
        expires = iso(self.expires) if self.expires else "-"
        return f"{self.id} {self.role.label} {self.digest} {iso(self.created)} {expires} {self.name}\n"


def _text_of(tokens: list[Token]) -> str:
    return _HEAD + "".join(token.line for token in tokens)


class TokenFile:
    """The tokens of one machine. Thread-safe where it only reads."""

    def __init__(self, folder: Path) -> None:
        self.path: Path = folder / "tokens"
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._next_look = 0.0
        self._by_digest: dict[str, Token] = {}

    def identify(self, secret: str) -> Token | None:
        """Return the record of a token; None for a token that is unknown, revoked or expired."""
        digest = _digest(secret)
        token = self._current().get(digest)
        # The look-up is by hash: what its timing tells is about the hash, of which a guesser controls nothing.
        if token is None or not hmac.compare_digest(token.digest, digest) or not token.is_valid(time.time()):
            return None
        return token

    def is_known(self, token: Token) -> bool:
        """Return whether the token is still valid, for a session that it opened."""
        return token.is_valid(time.time()) and self._current().get(token.digest) == token

    @property
    def is_empty(self) -> bool:
        return not self._current()

    def read(self) -> list[Token]:
        """Raises ConfigError for a file that is malformed or open to others."""
        if not self.path.exists():
            return []
        check_private(self.path, 0o600)
        return _parse(self.path)

    def create(self, name: str, role: AccessRole, lifetime: float | None = None) -> str:
        """Make a token (``lifetime`` in seconds) and return it; it cannot be read again. Raises UsageError,
        ConfigError."""
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is not a name for a token: 1 to 64 letters, digits and _ . @ -")
        secret = PREFIX + secrets.token_urlsafe(32)
        now = time.time()
        expires = now + lifetime if lifetime else 0.0
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_private(self.path.parent, 0o700)
            with locked(self.path.parent):
                tokens = self.read()
                if any(token.name == name for token in tokens):
                    raise UsageError(
                        f"there is a token of that name: stoker token revoke {name}, or choose another name"
                    )
                tokens.append(Token(secrets.token_hex(4), role, _digest(secret), now, expires, name))
                self._write(tokens)
        except OSError as error:
            raise ConfigError(f"cannot write {self.path}: {error.strerror}") from None
        return secret

    def revoke(self, name_or_id: str) -> Token:
        """Raises NotFound, ConfigError."""
        try:
            with locked(self.path.parent):
                tokens = self.read()
                found = next((token for token in tokens if name_or_id in (token.name, token.id)), None)
                if found is None:
                    raise NotFound(f"there is no token {name_or_id!r}: stoker token list shows them")
                self._write([token for token in tokens if token is not found])
        except OSError as error:
            raise ConfigError(f"cannot write {self.path}: {error.strerror}") from None
        return found

    def text(self) -> str:
        """Return the file's content. Raises ConfigError."""
        return _text_of(self.read())

    def _write(self, tokens: list[Token]) -> None:
        write_private(self.path, _text_of(tokens))

    def _current(self) -> dict[str, Token]:
        """Read the file if it has changed. A malformed file admits nobody, because it may revoke a token."""
        with self._lock:
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _LOOK_EVERY
                seen = stamp(self.path)
                if seen != self._stamp:
                    self._stamp = seen
                    try:
                        self._by_digest = {token.digest: token for token in self.read()}
                    except ConfigError as error:
                        LOG.error("no token is accepted: %s", error)
                        self._by_digest = {}
            return self._by_digest


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _parse(path: Path) -> list[Token]:
    tokens = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        token = _token(words)
        if token is None:
            raise ConfigError(f"{path}:{number}: not `ID {'|'.join(ROLES)} SHA256 CREATED EXPIRES|- NAME`")
        tokens.append(token)
    return tokens


def _token(words: list[str]) -> Token | None:
    if len(words) != 6:
        return None
    identifier, role, digest, created, expires, name = words
    if not (_ID.fullmatch(identifier) and role in ROLES and _HASH.fullmatch(digest) and NAME.fullmatch(name)):
        return None
    try:
        until = 0.0 if expires == "-" else seconds_of(expires)
        return Token(identifier, AccessRole[role.upper()], digest, seconds_of(created), until, name)
    except ValueError:
        return None
