"""SASL DIGEST-MD5 (RFC 2831) as Spark uses it: with ``spark.authenticate.secret`` as the password, for authentication
only (qop ``auth``). No I/O and no random source here.

The protocol needs MD5. It proves that both sides know the secret; it encrypts nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

REALM = "default"
_PAIR = re.compile(rb'([A-Za-z-]{1,32})=(?:"((?:[^"\\]|\\.){0,1024})"|([^",\s]{0,1024}))(?:,\s*|$)', re.DOTALL)


class AuthError(Exception):
    """The peer is rejected; one line says why."""


class WrongSecret(AuthError):
    """The peer does not know the secret, or guesses it."""

    def __init__(self) -> None:
        super().__init__("wrong spark.authenticate.secret")


@dataclass(frozen=True, slots=True)
class Account:
    """User and secret; Spark sends the user as base64."""

    user: str
    secret: str

    def response(self, *, nonce: str, cnonce: str, count: str, uri: str, who: str) -> str:
        """Return the digest, in hex. ``who``: ``AUTHENTICATE`` for the client's, empty for the server's."""
        user, password = (base64.b64encode(text.encode()) for text in (self.user, self.secret))
        start = _md5(b":".join((user, REALM.encode(), password)))
        a1 = _md5(start + f":{nonce}:{cnonce}".encode()).hex()
        a2 = _md5(f"{who}:{uri}".encode()).hex()
        return _md5(f"{a1}:{nonce}:{count}:{cnonce}:auth:{a2}".encode()).hex()


class DigestServer:
    """One exchange: ``challenge`` out, ``finish`` with the client's answer."""

    def __init__(self, accounts: Sequence[Account], nonce: str) -> None:
        self._accounts = accounts  # of one user, with different secrets
        self._nonce = nonce

    def challenge(self) -> bytes:
        return f'realm="{REALM}",nonce="{self._nonce}",qop="auth",charset=utf-8,algorithm=md5-sess'.encode()

    def finish(self, answer: bytes) -> tuple[bytes, int]:
        """Return the server's proof, and the number of the account that the client proved. Raises AuthError for a wrong
        answer."""
        said = parse(answer)
        if said.get("qop", "auth") != "auth":
            raise AuthError(
                "spark.authenticate.enableSaslEncryption is not supported: set spark.network.crypto.enabled instead"
            )
        known = said.get("nonce") == self._nonce and said.get("nc") == "00000001" and said.get("cnonce")
        numbers = {"nonce": self._nonce, "cnonce": said.get("cnonce", ""), "count": "00000001"}
        uri = said.get("digest-uri", "")
        given = said.get("response", "").encode()
        for at, account in enumerate(self._accounts):
            expected = account.response(**numbers, uri=uri, who="AUTHENTICATE")
            is_user = said.get("username") == base64.b64encode(account.user.encode()).decode()
            if hmac.compare_digest(expected.encode(), given) and known and is_user:
                return f"rspauth={account.response(**numbers, uri=uri, who='')}".encode(), at
        raise WrongSecret


class DigestClient:
    """One exchange: ``answer`` the server's challenge, then ``check`` its proof."""

    def __init__(self, account: Account, cnonce: str) -> None:
        self._account = account
        self._cnonce = cnonce
        self._uri = f"null/{REALM}"
        self._nonce = ""

    def answer(self, challenge: bytes) -> bytes:
        self._nonce = parse(challenge).get("nonce", "")
        if not self._nonce or '"' in self._nonce or "\\" in self._nonce:
            raise AuthError("malformed SASL challenge")
        user = base64.b64encode(self._account.user.encode()).decode()
        digest = self._respond("AUTHENTICATE")
        return (
            f'charset=utf-8,username="{user}",realm="{REALM}",nonce="{self._nonce}",nc=00000001,'
            f'cnonce="{self._cnonce}",digest-uri="{self._uri}",maxbuf=65536,response={digest},qop=auth'
        ).encode()

    def check(self, proof: bytes) -> None:
        """Raise AuthError when the server does not know the secret."""
        given = parse(proof).get("rspauth", "")
        if not hmac.compare_digest(self._respond("").encode(), given.encode()):
            raise AuthError("the driver has another spark.authenticate.secret")

    def _respond(self, who: str) -> str:
        return self._account.response(nonce=self._nonce, cnonce=self._cnonce, count="00000001", uri=self._uri, who=who)


def parse(text: bytes) -> dict[str, str]:
    """Return the directives of a challenge or an answer. Raises AuthError."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None or len(found) > 32:
            raise AuthError("malformed SASL message")
        value = match[3] if match[2] is None else re.sub(rb"\\(.)", rb"\1", match[2], flags=re.DOTALL)
        name = match[1].decode().lower()
        if name in found:
            raise AuthError(f"malformed SASL message: {name} twice")
        found[name] = value.decode(errors="replace")
        at = match.end()
    return found


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
