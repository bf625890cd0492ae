"""Spark's own authentication with forward secrecy, ``spark.network.crypto.enabled``: X25519 keys that are exchanged under
the shared secret, and then AES-CTR on the whole connection.

Source: Spark's ``AuthEngine`` (its README: "forward secure auth protocol"), in both versions. They differ only in the
session's key, so the client's first bytes show the version. AES-GCM (``spark.network.crypto.cipher`` of Spark 4) is not
supported.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stoker.gateway.sasl import AuthError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

TAG = 0xFB
KEY_BYTES = 16
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


class Stream:
    """Both directions of a connection under AES-CTR."""

    def __init__(self, key: bytes, incoming_iv: bytes, outgoing_iv: bytes) -> None:
        modes = _load()
        self._decrypt = modes.Cipher(modes.AES(key), modes.CTR(incoming_iv)).decryptor()
        self._encrypt = modes.Cipher(modes.AES(key), modes.CTR(outgoing_iv)).encryptor()

    def decrypt(self, data: bytes) -> bytes:
        plain: bytes = self._decrypt.update(data)
        return plain

    def encrypt(self, data: bytes) -> bytes:
        secret: bytes = self._encrypt.update(data)
        return secret


class Engine:
    """One exchange, from either side. ``streams`` are the possible outcomes, by version."""

    def __init__(self, app_id: str, secret: str) -> None:
        self._app_id = app_id
        self._secret = secret.encode()
        self._private: X25519PrivateKey = _load().X25519PrivateKey.generate()
        self._challenge: AuthMessage | None = None

    # --- the side that is called ---

    def respond(self, challenge: AuthMessage) -> tuple[AuthMessage, dict[int, Stream]]:
        """Return our answer and the streams. Raises AuthError for a wrong secret."""
        theirs = self._open(challenge, b"")
        answer = self._seal(challenge.encode())
        return answer, self._streams(theirs, challenge.encode() + answer.encode(), calls=False)

    # --- the side that calls ---

    def challenge(self) -> AuthMessage:
        self._challenge = self._seal(b"")
        return self._challenge

    def accept(self, answer: AuthMessage) -> dict[int, Stream]:
        """Raises AuthError."""
        assert self._challenge is not None
        transcript = self._challenge.encode()
        theirs = self._open(answer, transcript)
        return self._streams(theirs, transcript + answer.encode(), calls=True)

    # --- both ---

    def _seal(self, transcript: bytes) -> AuthMessage:
        """Return our public key, encrypted with the secret."""
        modes = _load()
        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        state = self._app_id.encode() + salt + transcript
        public = self._private.public_key().public_bytes_raw()
        sealed = nonce + modes.AESGCM(_derive(self._secret, salt, state)).encrypt(nonce, public, state)
        return AuthMessage(self._app_id, salt, sealed)

    def _open(self, message: AuthMessage, transcript: bytes) -> bytes:
        modes = _load()
        if message.app_id != self._app_id:
            raise AuthError("unknown user: Spark clients authenticate as sparkSaslUser")
        state = self._app_id.encode() + message.salt + transcript
        nonce, sealed = message.ciphertext[:_NONCE_BYTES], message.ciphertext[_NONCE_BYTES:]
        try:
            public: bytes = modes.AESGCM(_derive(self._secret, message.salt, state)).decrypt(nonce, sealed, state)
        except (modes.InvalidTag, ValueError):
            raise AuthError("wrong spark.authenticate.secret") from None
        return public

    def _streams(self, theirs: bytes, transcript: bytes, *, calls: bool) -> dict[int, Stream]:
        modes = _load()
        try:
            shared = self._private.exchange(modes.X25519PublicKey.from_public_bytes(theirs))
        except ValueError:
            raise AuthError("invalid public key") from None
        of_caller = _derive(shared, transcript, b"inputIv")
        of_called = _derive(shared, transcript, b"outputIv")
        # Spark's names are the caller's: it reads what is encrypted with the "input" IV.
        incoming, outgoing = (of_caller, of_called) if calls else (of_called, of_caller)
        keys = {1: shared, 2: _derive(shared, transcript, b"derivedKey")}
        return {version: Stream(key, incoming, outgoing) for version, key in keys.items()}


def _derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    modes = _load()
    derived: bytes = modes.HKDF(algorithm=modes.SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)
    return derived


def _load() -> Any:
    """Return the names of ``cryptography``, which only this method needs. Raises AuthError without that package."""
    try:
        from stoker.gateway import cipher_suite  # noqa: PLC0415
    except ImportError:
        raise AuthError(
            "spark.network.crypto.enabled needs the package cryptography on the master: pip install cryptography"
        ) from None
    return cipher_suite
