"""Who is let in: the exchange that opens a connection when there is a secret (``spark.authenticate.secret``), in Spark's
two ways, from both sides. No I/O here.

``Guard`` is the side that is called; ``Caller`` the one that calls, when a master seeks the driver of an application it
has inherited. Both take the bodies of RPC frames and give bodies.
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
    """``received`` what the client says, until ``is_done``. ``method`` says how, once that is known."""

    def __init__(self, secret: str, nonce: Callable[[], str]) -> None:
        self._secret = secret
        self._nonce = nonce
        self._digest: DigestServer | None = None
        self._ciphers: dict[int, Stream] = {}
        self.is_done = False
        self.method: SparkAuth = ""

    def received(self, body: bytes) -> bytes:
        """The answer. Raises AuthError when the client is not let in."""
        if body[:1] == bytes([_SASL_TAG]):
            return self._sasl(_sasl_payload(body))
        if body[:1] == bytes([crypto.TAG]):
            answer, self._ciphers = Engine(USER, self._secret).respond(AuthMessage.decode(body))
            self.is_done = True
            return answer.encode()
        raise AuthError(
            "it does not authenticate: set spark.authenticate and spark.authenticate.secret in the application"
        )

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
        """The stream of the engine version that makes sense of the first bytes (8 at least), and what they say. Raises
        AuthError."""
        for version, stream in self._ciphers.items():
            plain = stream.decrypt(first)
            if plain.startswith(_PLAUSIBLE):
                self.method = _BY_ENGINE[version]
                return stream, plain
        raise AuthError("it encrypts in another way than AES/CTR/NoPadding: take out spark.network.crypto.cipher")


class Caller:
    """``first`` opens; ``received`` the answers, until it gives nothing more to send. ``method`` is a ``Guard.method``."""

    def __init__(self, secret: str, method: SparkAuth, nonce: Callable[[], str]) -> None:
        self._version = next((version for version, name in _BY_ENGINE.items() if name == method), 0)
        self._engine = Engine(USER, secret) if self._version else None
        self._digest = DigestClient(Account(USER, secret), nonce())
        self._answered = False
        self.stream: Stream | None = None

    def first(self) -> bytes:
        return self._engine.challenge().encode() if self._engine is not None else _sasl_message(b"")

    def received(self, body: bytes) -> bytes | None:
        """What to say next; None when both sides are sure. Raises AuthError."""
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
        raise AuthError("its SASL message is malformed") from None
    if length < 0 or user != USER.encode():
        raise AuthError("it authenticates as somebody else than Spark's own user")
    return rest
