"""A secret that a daemon makes for itself and keeps over restarts."""

from __future__ import annotations

import secrets
from pathlib import Path

from stoker.errors import ConfigError
from stoker.security.files import check_private, locked, read_text, write_private

_BYTES = 32


def secret_of(path: Path) -> bytes:
    """Return the secret of that file; make it first if it is missing. Raises ConfigError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path.parent):
            if not path.exists():
                write_private(path, secrets.token_hex(_BYTES) + "\n")
        check_private(path, 0o600)
        secret = bytes.fromhex(read_text(path).strip())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    except ValueError:
        secret = b""
    if len(secret) != _BYTES:
        raise ConfigError(f"{path} does not hold a secret: remove the file, and the master makes another")
    return secret
