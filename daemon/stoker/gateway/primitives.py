"""What both ciphers of Spark's transport encryption are made of: their names, key derivation, and the package
``cryptography``."""

from __future__ import annotations

from typing import Any, Literal

from stoker.core.model.values import SparkAuth, SparkCipher, SparkProgram
from stoker.gateway.sasl import AuthError

KEY_BYTES = 16
Method = Literal["", "sasl", "crypto1", "crypto2", "gcm1", "gcm2"]  # how a client authenticates, and with which cipher

_RECORDED: dict[Method, tuple[SparkAuth, SparkCipher]] = {
    "": ("", ""),
    "sasl": ("sasl", ""),
    "crypto1": ("crypto1", ""),
    "crypto2": ("crypto2", ""),
    "gcm1": ("crypto1", "gcm"),
    "gcm2": ("crypto2", "gcm"),
}
_METHODS = {recorded: method for method, recorded in _RECORDED.items()}


def recorded(method: Method) -> tuple[SparkAuth, SparkCipher]:
    """Return the method as records and messages have it: the cipher is a field of its own, which release 0.1.0 skips."""
    return _RECORDED[method]


def method_of(program: SparkProgram) -> Method:
    """Return the method that a driver used when it registered."""
    return _METHODS.get((program.auth, program.cipher), program.auth)


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
