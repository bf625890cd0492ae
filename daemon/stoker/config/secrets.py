"""Secrets in files of their own, so that no file or table that others can read contains them."""

from __future__ import annotations

from pathlib import Path

from stoker.config.sources import Settings
from stoker.errors import ConfigError
from stoker.security.files import check_closed


def read_secret(path: Path, setting: str) -> str:
    """The one line of a file that only its owner can read. Raises ConfigError, naming ``setting``."""
    check_closed(path, setting)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{setting}: cannot read {path}: {reason}") from None
    if not text or "\n" in text:
        raise ConfigError(f"{setting}: {path} does not hold one line")
    return text


def spark_secret(settings: Settings) -> str:
    """``spark.authenticate.secret``, or what is in ``spark.authenticate.secret.file``; empty: none. Raises ConfigError."""
    secret: str = settings.get("spark.authenticate.secret")
    file: str = settings.get("spark.authenticate.secret.file")
    if secret or not file:
        return secret
    return read_secret(Path(file), "spark.authenticate.secret.file")


def zookeeper_auth(path: Path) -> str:
    """``USER:PASSWORD`` of ``spark.stoker.zookeeper.authFile``. Raises ConfigError."""
    setting = "spark.stoker.zookeeper.authFile"
    text = read_secret(path, setting)
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise ConfigError(f"{setting}: {path} does not hold one line USER:PASSWORD")
    return text
