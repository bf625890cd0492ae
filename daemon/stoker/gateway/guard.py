"""Authentication with ``spark.authenticate.secret``: the exchange that opens a connection, by SASL or by Spark's own
protocol, from both sides. No I/O here.

``Guard`` is the side that is called. ``Caller`` is the side that calls: a master that connects to the driver of a recovered
application. Both take the bodies of RPC frames and return bodies.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from stoker.gateway import crypto
from stoker.gateway.crypto import AuthEngine, AuthMessage, SessionKeys, Stream, respond
from stoker.gateway.gcm import GcmStream
from stoker.gateway.primitives import Method
from stoker.gateway.sasl import Account, AuthError, DigestClient, DigestServer
from stoker.gateway.terms import Terms
from stoker.security.spark_secrets import SparkSecret

USER = "sparkSaslUser"  # all of a cluster's, in Spark
_SASL_TAG = 0xEA
AUTHENTICATION = (bytes([_SASL_TAG]), bytes([crypto.TAG]))  # the first bytes of a body that authenticates
_GCM = "AES/GCM/NoPadding"


class Guard:
    """Call ``received`` with the client's messages until it has proved one of the secrets, which ``proved`` then is.
    ``method`` is the method it used: for one that encrypts, the stream knows it (``choose``)."""

    def __init__(self, terms: Terms, nonce: Callable[[], str]) -> None:
        self._terms = terms
        self._nonce = nonce
        self._digest: DigestServer | None = None
        self._keys: SessionKeys | None = None
        self._known: tuple[SparkSecret, ...] = ()  # when the exchange began
        self.proved: SparkSecret | None = None
        self.method: Method = ""

    def received(self, body: bytes) -> bytes:
        """Return the answer. Raises AuthError when the client is rejected, and WrongSecret when it guessed."""
        if body[:1] == bytes([_SASL_TAG]):
            return self._sasl(_sasl_payload(body))
        if body[:1] == bytes([crypto.TAG]):
            known = self._terms.known
            answer, self._keys, at = respond(USER, [one.secret for one in known], AuthMessage.decode(body))
            self.proved = known[at]
            return answer.encode()
        raise AuthError("no authentication: set spark.authenticate and spark.authenticate.secret in the application")

    def _sasl(self, payload: bytes) -> bytes:
        if not self._terms.sasl:
            raise AuthError(
                "this master wants encryption (spark.network.crypto.saslFallback is false there): set"
                " spark.network.crypto.enabled to true"
            )
        if self._digest is None:
            self._known = self._terms.known
            self._digest = DigestServer([Account(USER, one.secret) for one in self._known], self._nonce())
            return self._digest.challenge()
        proof, at = self._digest.finish(payload)
        self.proved, self.method = self._known[at], "sasl"
        return proof

    @property
    def is_done(self) -> bool:
        return self.proved is not None

    @property
    def encrypts(self) -> bool:
        return self._keys is not None

    def choose(self, first: bytes) -> Stream:
        """Return the stream that the client's first bytes (at least 8) belong to. Raises AuthError."""
        assert self._keys is not None
        stream = self._keys.stream_of(first)
        if stream is None:
            raise AuthError(f"unsupported encryption: spark.network.crypto.cipher must be AES/CTR/NoPadding or {_GCM}")
        if self._terms.only_gcm and not isinstance(stream, GcmStream):
            raise AuthError(f"this master wants spark.network.crypto.cipher {_GCM}")
        return stream


class Caller:
    """Send ``first``, then what ``received`` returns for each answer, until it is None. ``method``: as the driver
    authenticated."""

    def __init__(self, secret: str, method: Method, nonce: Callable[[], str]) -> None:
        self._method = method
        self._engine = AuthEngine(USER, secret) if method != "sasl" else None
        self._digest = DigestClient(Account(USER, secret), nonce())
        self._answered = False
        self.stream: Stream | None = None

    def first(self) -> bytes:
        return self._engine.challenge().encode() if self._engine is not None else _sasl_message(b"")

    def received(self, body: bytes) -> bytes | None:
        """Return the next message; None when both sides are authenticated. Raises AuthError."""
        if self._engine is not None:
            self.stream = self._engine.accept(AuthMessage.decode(body)).stream(self._method)
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
