"""What both ciphers of Spark's transport encryption are made of: key derivation, and the package ``cryptography``."""

from __future__ import annotations

from typing import Any

from stoker.gateway.sasl import AuthError

KEY_BYTES = 16


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF with SHA-256."""
    modes = load()
    derived: bytes = modes.HKDF(algorithm=modes.SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)
    return derived


def load() -> Any:
    """Return the names of ``cryptography``, which only this method needs. Raises AuthError without that package."""
    try:
        from stoker.gateway import cipher_suite  # noqa: PLC0415
    except ImportError:
        raise AuthError(
            "spark.network.crypto.enabled needs the package cryptography on the master: pip install cryptography"
        ) from None
    return cipher_suite
