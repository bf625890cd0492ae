"""Authentication with ``spark.authenticate.secret``: the exchange that opens a connection, by SASL or by Spark's own
protocol, from both sides. No I/O here.

``Guard`` is the side that is called. ``Caller`` is the side that calls: a master that connects to the driver of a recovered
application. Both take the bodies of RPC frames and return bodies.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from stoker.core.model.values import SparkAuth
from stoker.gateway import crypto
from stoker.gateway.crypto import AuthMessage, Engine, Stream
from stoker.gateway.sasl import Account, AuthError, DigestClient, DigestServer

USER = "sparkSaslUser"  # all of a cluster's, in Spark
_BY_ENGINE: dict[int, SparkAuth] = {1: "crypto1", 2: "crypto2"}  # spark.network.crypto.authEngineVersion
_SASL_TAG = 0xEA
_PLAUSIBLE = bytes(4)  # how every frame begins: its length is far below 2^32


class Guard:
    """Call ``received`` with the client's messages until ``is_done``. ``method`` is the method it used, once known."""

    def __init__(self, secret: str, nonce: Callable[[], str]) -> None:
        self._secret = secret
        self._nonce = nonce
        self._digest: DigestServer | None = None
        self._ciphers: dict[int, Stream] = {}
        self.is_done = False
        self.method: SparkAuth = ""

    def received(self, body: bytes) -> bytes:
        """Return the answer. Raises AuthError when the client is rejected."""
        if body[:1] == bytes([_SASL_TAG]):
            return self._sasl(_sasl_payload(body))
        if body[:1] == bytes([crypto.TAG]):
            answer, self._ciphers = Engine(USER, self._secret).respond(AuthMessage.decode(body))
            self.is_done = True
            return answer.encode()
        raise AuthError("no authentication: set spark.authenticate and spark.authenticate.secret in the application")

    def _sasl(self, payload: bytes) -> bytes:
        if self._digest is None:
            self._digest = DigestServer(Account(USER, self._secret), self._nonce())
            return self._digest.challenge()
        proof = self._digest.finish(payload)
        self.is_done, self.method = True, "sasl"
        return proof

    @property
    def encrypts(self) -> bool:
        return bool(self._ciphers)

    def choose(self, first: bytes) -> tuple[Stream, bytes]:
        """Return the stream of the engine version that the first bytes (at least 8) belong to, and these bytes decrypted.
        Raises AuthError."""
        for version, stream in self._ciphers.items():
            plain = stream.decrypt(first)
            if plain.startswith(_PLAUSIBLE):
                self.method = _BY_ENGINE[version]
                return stream, plain
        raise AuthError("unsupported encryption: remove spark.network.crypto.cipher (only AES/CTR/NoPadding works)")


class Caller:
    """Send ``first``, then what ``received`` returns for each answer, until it is None. ``method``: as ``Guard.method``."""

    def __init__(self, secret: str, method: SparkAuth, nonce: Callable[[], str]) -> None:
        self._version = next((version for version, name in _BY_ENGINE.items() if name == method), 0)
        self._engine = Engine(USER, secret) if self._version else None
        self._digest = DigestClient(Account(USER, secret), nonce())
        self._answered = False
        self.stream: Stream | None = None

    def first(self) -> bytes:
        return self._engine.challenge().encode() if self._engine is not None else _sasl_message(b"")

    def received(self, body: bytes) -> bytes | None:
        """Return the next message; None when both sides are authenticated. Raises AuthError."""
        if self._engine is not None:
            self.stream = self._engine.accept(AuthMessage.decode(body))[self._version]
            return None
        if self._answered:
            self._digest.check(body)
            return None
        self._answered = True
        return _sasl_message(self._digest.answer(body))


def _sasl_message(payload: bytes) -> bytes:
    user = USER.encode()
    return bytes([_SASL_TAG]) + struct.pack(">i", len(user)) + user + struct.pack(">i", len(payload)) + payload


def _sasl_payload(body: bytes) -> bytes:
    try:
        (length,) = struct.unpack_from(">i", body, 1)
        user, rest = body[5 : 5 + length], body[9 + length :]
    except struct.error:
        raise AuthError("malformed SASL message") from None
    if length < 0 or user != USER.encode():
        raise AuthError("unknown user: Spark clients authenticate as sparkSaslUser")
    return rest
