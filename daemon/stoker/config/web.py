"""Settings of a daemon's HTTP side: where it listens, who may do what, with which certificate (docs/security.md)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from stoker.config.effective import NOTHING_SET, ShownSettings, shown_settings
from stoker.config.registry import KEY_STORES
from stoker.config.sources import Settings
from stoker.core.model.addresses import is_loopback
from stoker.errors import ConfigError
from stoker.security.files import stamp
from stoker.security.roles import AccessRole


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """PEM files: the certificate with its chain, and its private key."""

    chain: Path
    key: Path

    def context(self) -> TlsContext:
        """Raises ConfigError for files that are missing, unreadable, open to other users, or do not belong together."""
        context = TlsContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.certificate, context.stamps = self, self.stamps()
        self.load(context)
        return context

    def stamps(self) -> tuple[object, object]:
        return stamp(self.chain), stamp(self.key)

    def load(self, context: ssl.SSLContext) -> None:
        """Raises ConfigError, as ``context``."""
        try:
            context.load_cert_chain(self.chain, self.key, password=_no_password)
            _check_mode(self.key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"spark.ssl.standalone.certChain {self.chain} and .privateKey {self.key} cannot be used: {reason}"
            ) from None


class TlsContext(ssl.SSLContext):
    """A server's TLS, with the certificate as it is on disk. ``Certificate.context`` makes one."""

    certificate: Certificate
    stamps: tuple[object, object]

    def renew(self) -> bool:
        """Use the files from now on if they have changed; return whether they have. Raises ConfigError, once for each change,
        when they cannot be used; then the certificate stays that was in use."""
        stamps = self.certificate.stamps()
        if stamps == self.stamps:
            return False
        self.stamps = stamps
        self.certificate.load(
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        )  # a failure in the middle must not change this one
        self.certificate.load(self)
        return True


@dataclass(frozen=True, kw_only=True)
class WebConfig:
    """``anonymous`` is the role of requests without a token; times are in seconds."""

    host: str
    anonymous: AccessRole
    trust_local_user: bool
    session_timeout: float
    kill_enabled: bool
    certificate: Certificate | None
    known_as: tuple[str, ...] = ()  # further names of this machine
    own: ShownSettings = NOTHING_SET  # of the daemon, for its page

    @property
    def scheme(self) -> str:
        return "http" if self.certificate is None else "https"


def web_config(settings: Settings, *, host: str, chosen: str | None, public_dns: str | None) -> WebConfig:
    """``host`` is the daemon's own; its HTTP side listens there only when that was ``chosen``, else on loopback. Raises
    ConfigError."""
    told = chosen or settings.variable("SPARK_LOCAL_HOSTNAME", "SPARK_LOCAL_IP")
    listens: str = settings.get("spark.stoker.web.host").strip("[]") or (host if told else loopback_of(host))
    return WebConfig(
        host=listens,
        anonymous=anonymous_role(settings, listens),
        trust_local_user=settings.get("spark.stoker.web.trustLocalUser"),
        session_timeout=settings.get("spark.stoker.web.sessionTimeout"),
        kill_enabled=settings.get("spark.ui.killEnabled"),
        certificate=certificate_of(settings),
        known_as=tuple(filter(None, (host, public_dns))),
        own=shown_settings(settings),
    )


def loopback_of(host: str) -> str:
    if is_loopback(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def anonymous_role(settings: Settings, listens: str) -> AccessRole:
    """Return the role of requests without a token, for a daemon that listens at ``listens``."""
    name = settings.get("spark.stoker.web.anonymous")
    if name:
        role = AccessRole[name.upper()]
        if role > AccessRole.VIEWER and not is_loopback(listens):
            settings.warnings.append(
                f"spark.stoker.web.anonymous {name}: everyone who reaches {listens} may run programs here without a token"
            )
        return role
    return AccessRole.VIEWER if is_loopback(listens) else AccessRole.NONE


def certificate_of(settings: Settings) -> Certificate | None:
    """Return the certificate; None without TLS. Raises ConfigError when TLS is on without one: never fall back to HTTP."""
    standalone = "spark.ssl.standalone.enabled"
    switch = standalone if settings.is_set(standalone) else "spark.ssl.enabled"
    if not settings.get(switch):
        return None
    chain = settings.get("spark.ssl.standalone.certChain") or settings.get("spark.ssl.certChain")
    key = settings.get("spark.ssl.standalone.privateKey") or settings.get("spark.ssl.privateKey")
    if not chain or not key:
        stores = [name for name in KEY_STORES if settings.is_set(name)]
        instead = f" ({stores[0]} is for Java: openssl pkcs12 makes PEM files of a key store)" if stores else ""
        raise ConfigError(
            f"{switch} needs spark.ssl.standalone.certChain and spark.ssl.standalone.privateKey:"
            f" the PEM files of a certificate and of its key{instead}"
        )
    return Certificate(chain=Path(chain), key=Path(key))


def tls_port(settings: Settings) -> int | None:
    """The dashboard's port when it speaks TLS and one was chosen for that."""
    port: int | None = settings.get("spark.ssl.standalone.port")
    return port if port is not None and certificate_of(settings) is not None else None


def _check_mode(key: Path) -> None:
    """Raise ConfigError when other users can read the key. A key of root's may be open to a group, as ``ssl-cert``."""
    status = key.stat()
    allowed = 0o640 if status.st_uid == 0 else 0o600
    if status.st_mode & 0o777 & ~allowed & 0o077:
        raise ConfigError(f"spark.ssl.standalone.privateKey {key} is open to other users: `chmod 600 {key}`")


def _no_password() -> str:
    raise ValueError("the key is encrypted: store it without a password, mode 0600")
