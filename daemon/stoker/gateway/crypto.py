"""Spark's own authentication with forward secrecy, ``spark.network.crypto.enabled``: X25519 keys that are exchanged under
the shared secret, and then AES-CTR or AES-GCM (``gcm``) on the whole connection.

Source: Spark's ``AuthEngine`` (its README: "forward secure auth protocol"), in both versions. They differ only in the
session's key. The client does not say which version and which cipher it uses; its first bytes show both.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stoker.gateway import gcm
from stoker.gateway.gcm import GcmStream
from stoker.gateway.primitives import Method, derive, load
from stoker.gateway.sasl import AuthError, WrongSecret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

TAG = 0xFB
METHODS: dict[int, Method] = {1: "crypto1", 2: "crypto2"}  # by spark.network.crypto.authEngineVersion
PLAUSIBLE = bytes(4)  # how every frame begins: its length is far below 2^32
_SALT_BYTES, _NONCE_BYTES = 16, 12


@dataclass(frozen=True, slots=True)
class AuthMessage:
    app_id: str
    salt: bytes
    ciphertext: bytes

    def encode(self) -> bytes:
        parts = (self.app_id.encode(), self.salt, self.ciphertext)
        return bytes([TAG]) + b"".join(struct.pack(">i", len(part)) + part for part in parts)

    @classmethod
    def decode(cls, data: bytes) -> AuthMessage:
        """Raises AuthError."""
        parts, at = [], 1
        try:
            for _ in range(3):
                (length,) = struct.unpack_from(">i", data, at)
                if length < 0 or at + 4 + length > len(data):
                    raise AuthError("incomplete authentication message")
                parts.append(data[at + 4 : at + 4 + length])
                at += 4 + length
            return cls(parts[0].decode(), parts[1], parts[2])
        except (struct.error, UnicodeDecodeError):
            raise AuthError("malformed authentication message") from None


class Stream(Protocol):
    """Both directions of an encrypted connection. ``method`` is how the client authenticated, once that is known;
    ``unfinished`` are the bytes of an incomplete message."""

    @property
    def method(self) -> Method: ...

    @property
    def unfinished(self) -> int: ...

    def decrypt(self, data: bytes) -> bytes: ...

    def encrypt(self, data: bytes) -> bytes: ...


class CtrStream:
    """Under AES-CTR."""

    def __init__(self, method: Method, key: bytes, incoming_iv: bytes, outgoing_iv: bytes) -> None:
        modes = load()
        self.method = method
        self.unfinished = 0
        self._decrypt = modes.Cipher(modes.AES(key), modes.CTR(incoming_iv)).decryptor()
        self._encrypt = modes.Cipher(modes.AES(key), modes.CTR(outgoing_iv)).encryptor()

    def decrypt(self, data: bytes) -> bytes:
        plain: bytes = self._decrypt.update(data)
        return plain

    def encrypt(self, data: bytes) -> bytes:
        secret: bytes = self._encrypt.update(data)
        return secret


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The outcome of an exchange; ``keys`` by version."""

    keys: dict[int, bytes]
    incoming_iv: bytes
    outgoing_iv: bytes

    def stream(self, method: Method) -> Stream:
        """Return the stream of this side when the method is known."""
        for version, key in self.keys.items():
            if gcm.METHODS[version] == method:
                return GcmStream({version: key})
            if METHODS[version] == method:
                return self._ctr(version)
        raise ValueError(f"{method!r} does not encrypt")

    def stream_of(self, first: bytes) -> Stream | None:
        """Return the stream that the caller's first bytes (at least 8) belong to; None: an unsupported cipher. With GCM they
        are a length that is not encrypted."""
        if first.startswith(PLAUSIBLE):
            return GcmStream(self.keys)
        for version in self.keys:
            if self._ctr(version).decrypt(first).startswith(PLAUSIBLE):
                return self._ctr(version)
        return None

    def _ctr(self, version: int) -> CtrStream:
        return CtrStream(METHODS[version], self.keys[version], self.incoming_iv, self.outgoing_iv)


class AuthEngine:
    """One exchange, from either side."""

    def __init__(self, app_id: str, secret: str) -> None:
        self._app_id = app_id
        self._secret = secret.encode()
        self._challenge: AuthMessage | None = None

    @functools.cached_property
    def _private(self) -> X25519PrivateKey:
        private: X25519PrivateKey = load().X25519PrivateKey.generate()
        return private

    # --- the side that is called ---

    def respond(self, challenge: AuthMessage) -> tuple[AuthMessage, SessionKeys]:
        """Return our answer and the keys. Raises AuthError for a wrong secret."""
        theirs = self._open(challenge, b"")
        answer = self._seal(challenge.encode())
        return answer, self._keys(theirs, challenge.encode() + answer.encode(), calls=False)

    # --- the side that calls ---

    def challenge(self) -> AuthMessage:
        self._challenge = self._seal(b"")
        return self._challenge

    def accept(self, answer: AuthMessage) -> SessionKeys:
        """Raises AuthError."""
        assert self._challenge is not None
        transcript = self._challenge.encode()
        theirs = self._open(answer, transcript)
        return self._keys(theirs, transcript + answer.encode(), calls=True)

    # --- both ---

    def _seal(self, transcript: bytes) -> AuthMessage:
        """Return our public key, encrypted with the secret."""
        modes = load()
        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        state = self._app_id.encode() + salt + transcript
        public = self._private.public_key().public_bytes_raw()
        sealed = nonce + modes.AESGCM(derive(self._secret, salt, state)).encrypt(nonce, public, state)
        return AuthMessage(self._app_id, salt, sealed)

    def _open(self, message: AuthMessage, transcript: bytes) -> bytes:
        modes = load()
        if message.app_id != self._app_id:
            raise AuthError("unknown user: Spark clients authenticate as sparkSaslUser")
        state = self._app_id.encode() + message.salt + transcript
        nonce, sealed = message.ciphertext[:_NONCE_BYTES], message.ciphertext[_NONCE_BYTES:]
        try:
            public: bytes = modes.AESGCM(derive(self._secret, message.salt, state)).decrypt(nonce, sealed, state)
        except (modes.InvalidTag, ValueError):
            raise WrongSecret from None
        return public

    def _keys(self, theirs: bytes, transcript: bytes, *, calls: bool) -> SessionKeys:
        modes = load()
        try:
            shared = self._private.exchange(modes.X25519PublicKey.from_public_bytes(theirs))
        except ValueError:
            raise AuthError("invalid public key") from None
        of_caller = derive(shared, transcript, b"inputIv")
        of_called = derive(shared, transcript, b"outputIv")
        # Spark's names are the caller's: it reads what is encrypted with the "input" IV.
        incoming, outgoing = (of_caller, of_called) if calls else (of_called, of_caller)
        keys = {1: shared, 2: derive(shared, transcript, b"derivedKey")}
        return SessionKeys(keys, incoming, outgoing)


def respond(app_id: str, secrets: Iterable[str], challenge: AuthMessage) -> tuple[AuthMessage, SessionKeys, int]:
    """Return the answer to a caller, the keys, and the number of the secret that the caller knows. Raises AuthError when it
    knows none of them."""
    for at, secret in enumerate(secrets):
        try:
            return (*AuthEngine(app_id, secret).respond(challenge), at)
        except WrongSecret:
            continue
    raise WrongSecret
