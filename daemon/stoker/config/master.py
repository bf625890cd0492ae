"""A master's settings."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stoker.config import types
from stoker.config.common import (
    Trail,
    audit_trail,
    first,
    keys_dir,
    leads_to_loopback,
    listen_host,
    memory_limit,
    option,
    state_dir,
)
from stoker.config.limits import Limits, limits
from stoker.config.pools import FILE
from stoker.config.registry import MOST_BODY_BYTES
from stoker.config.secrets import spark_secret
from stoker.config.sources import Settings, load_settings
from stoker.config.web import WebConfig, anonymous_role, tls_port, web_config
from stoker.core.model.policy import Policy
from stoker.errors import ConfigError
from stoker.security.roles import AccessRole
from stoker.security.spark_secrets import SETTING

_GCM = "AES/GCM/NoPadding"


@dataclass(frozen=True, kw_only=True)
class MasterConfig:
    """Memory in MiB unless the name says bytes."""

    host: str
    port: int
    webui_host: str
    webui_port: int
    public_dns: str | None
    policy: Policy
    recovery_mode: str
    recovery_directory: Path | None
    zookeeper_url: str
    zookeeper_dir: str
    zookeeper_session_timeout: float  # seconds
    zookeeper_auth_file: Path | None
    zookeeper_tls: tuple[str, str, str]  # files: ca, certificate chain, private key; "" each for none
    authenticate: bool
    keys_dir: Path
    state_dir: Path
    audit: Trail
    upload_directory: Path | None
    upload_max_bytes: int
    limits: Limits
    memory_limit_mib: int | None
    log_mode: int  # of log files; what it allows to others decides the umask
    max_port_retries: int
    pools_file: Path
    ui_title: str
    web: WebConfig
    rest: RestConfig | None  # None: off
    gateway: GatewayConfig | None  # None: off
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """What Spark clients must do to be let in: prove ``secret``, or one of those in ``secrets_file``. Neither: nothing;
    ``open``: whoever they are."""

    secret: str
    secrets_file: Path | None
    open: bool
    sasl: bool  # instead of Spark's own protocol; it does not encrypt
    only_gcm: bool


@dataclass(frozen=True, kw_only=True)
class RestConfig:
    """Submissions over HTTP (spec 15.6). ``port_chosen``: a port that is taken is then an error, not a warning."""

    host: str
    anonymous: AccessRole
    port: int
    port_chosen: bool
    max_body_bytes: int
    allowed_apps: tuple[re.Pattern[str], ...]
    environ: Mapping[str, str]  # what ``{{NAME}}`` in a submission may stand for


def add_master_arguments(parser: argparse.ArgumentParser) -> None:
    add_daemon_arguments(parser, port="7077", webui_port="8080")
    parser.add_argument(
        "--exact-port", action="store_true", help="end when the port is taken, instead of trying those that follow"
    )


def add_daemon_arguments(parser: argparse.ArgumentParser, *, port: str, webui_port: str) -> None:
    parser.add_argument("-h", "--host", "-i", "--ip", dest="host", metavar="HOST", help="host or address to listen on")
    parser.add_argument("-p", "--port", metavar="PORT", help=f"port to listen on (default: {port})")
    parser.add_argument("--webui-port", metavar="PORT", help=f"port of the dashboard (default: {webui_port})")
    parser.add_argument("--properties-file", metavar="FILE", help="properties (default: CONF_DIR/spark-defaults.conf)")


def master_config(args: argparse.Namespace, environ: Mapping[str, str]) -> MasterConfig:
    """Raises UsageError or ConfigError with the one line to show."""
    settings = load_settings(environ, properties_file=args.properties_file, daemon="master")
    chosen = args.host or settings.variable("SPARK_MASTER_HOST", "SPARK_MASTER_IP")
    host = listen_host(settings, chosen)
    port = first(
        option("--port", args.port, types.parse_port),
        settings.parsed(types.parse_port, "SPARK_MASTER_PORT"),
        types.DEFAULT_PORT,
    )
    webui_port = first(
        option("--webui-port", args.webui_port, types.parse_port),
        tls_port(settings),
        settings.parsed(types.parse_port, "SPARK_MASTER_WEBUI_PORT"),
        settings.get("spark.master.ui.port"),
    )
    gateway = _gateway(settings, host)
    mode = _recovery_mode(settings)
    public_dns = settings.variable("SPARK_PUBLIC_DNS")
    web = web_config(settings, host=host, chosen=chosen, public_dns=public_dns)
    rest = _rest(settings, web)
    return MasterConfig(
        host=host,
        port=port if port is not None else types.DEFAULT_PORT,
        webui_host=web.host,
        webui_port=webui_port if webui_port is not None else 8080,
        public_dns=public_dns,
        policy=_policy(settings),
        recovery_mode=mode,
        recovery_directory=_path(settings, "spark.deploy.recoveryDirectory"),
        zookeeper_url=settings.get("spark.deploy.zookeeper.url"),
        zookeeper_dir=settings.get("spark.deploy.zookeeper.dir"),
        zookeeper_session_timeout=settings.get("spark.stoker.zookeeper.sessionTimeout"),
        zookeeper_auth_file=_path(settings, "spark.stoker.zookeeper.authFile"),
        zookeeper_tls=_zookeeper_tls(settings),
        authenticate=settings.get("spark.authenticate"),
        keys_dir=keys_dir(settings),
        state_dir=state_dir(settings),
        audit=audit_trail(settings),
        upload_directory=_path(settings, "spark.stoker.upload.directory"),
        upload_max_bytes=settings.get("spark.stoker.upload.maxSize"),
        limits=limits(settings),
        memory_limit_mib=memory_limit(settings),
        log_mode=int(settings.get("spark.stoker.log.mode"), 8),
        max_port_retries=0 if args.exact_port else settings.get("spark.port.maxRetries"),
        pools_file=settings.conf_dir.absolute() / FILE,
        ui_title=settings.get("spark.master.ui.title"),
        web=web,
        rest=rest,
        gateway=gateway,
        ignored=tuple(settings.ignored),
        warnings=tuple(settings.warnings),
    )


def _path(settings: Settings, key: str) -> Path | None:
    path = settings.get(key)
    return Path(path).absolute() if path else None


def _zookeeper_tls(settings: Settings) -> tuple[str, str, str]:
    """Raises ConfigError for settings that would leave the traffic in the clear, or without half of a certificate."""
    names = [f"spark.stoker.zookeeper.tls.{name}" for name in ("ca", "certChain", "privateKey")]
    ca, chain, key = (str(_path(settings, name) or "") for name in names)
    if (chain or key) and not ca:
        raise ConfigError(
            f"{names[1]} and {names[2]} need {names[0]}: the file of the authority that ZooKeeper's are from"
        )
    if bool(chain) != bool(key):
        raise ConfigError(
            f"{names[1]} needs {names[2]}, and the reverse: the PEM files of a certificate and of its key"
        )
    return ca, chain, key


def _recovery_mode(settings: Settings) -> str:
    """Return where records are kept. Raises ConfigError when the setting that names the place is missing."""
    mode: str = settings.get("spark.deploy.recoveryMode")
    place = {"FILESYSTEM": "spark.deploy.recoveryDirectory", "ZOOKEEPER": "spark.deploy.zookeeper.url"}.get(mode)
    if place and not settings.get(place):
        raise ConfigError(f"spark.deploy.recoveryMode {mode} needs {place}")
    return mode


def _rest(settings: Settings, web: WebConfig) -> RestConfig | None:
    if not settings.get("spark.master.rest.enabled"):
        return None
    body = settings.properties.get("spark.master.rest.maxRequestBodySize")
    if body is not None and types.parse_bytes(body.value) > MOST_BODY_BYTES:
        settings.warnings.append(f"spark.master.rest.maxRequestBodySize {body.value}: 64m is the most, and in force")
    host = settings.get("spark.master.rest.host").strip("[]") or web.host
    return RestConfig(
        host=host,
        anonymous=web.anonymous if host == web.host else anonymous_role(settings, host),
        port=settings.get("spark.master.rest.port"),
        port_chosen=settings.is_set("spark.master.rest.port"),
        max_body_bytes=settings.get("spark.master.rest.maxRequestBodySize"),
        allowed_apps=settings.get("spark.master.rest.allowedAppResourcePatterns") or (),
        environ=settings.exported,
    )


def _gateway(settings: Settings, host: str) -> GatewayConfig | None:
    """Raises ConfigError when clients on other machines would need no secret."""
    if not settings.get("spark.stoker.gateway.enabled"):
        return None
    secrets_file = _path(settings, SETTING) if settings.get("spark.authenticate") else None
    secret = spark_secret(settings) if settings.get("spark.authenticate") else ""
    if settings.is_set(SETTING) and secrets_file is None:
        settings.warnings.append(f"{SETTING} has no effect: spark.authenticate is false")
    asks = bool(secret) or secrets_file is not None
    is_open = settings.get("spark.stoker.gateway.open") and not asks
    if not asks and not leads_to_loopback(host) and not is_open:
        raise ConfigError(
            "spark.stoker.gateway.enabled lets every Spark client that reaches this machine run programs: set"
            f" spark.authenticate.secret.file or {SETTING}, or spark.stoker.gateway.open to true"
        )
    if is_open:
        what = "any user of this machine" if leads_to_loopback(host) else "any Spark client that reaches this port"
        settings.warnings.append(f"spark.stoker.gateway.open: {what} can run programs here")
    return GatewayConfig(
        secret=secret,
        secrets_file=secrets_file,
        open=is_open,
        sasl=settings.get("spark.network.crypto.saslFallback"),
        only_gcm=settings.get("spark.network.crypto.cipher") == _GCM,
    )


def _policy(settings: Settings) -> Policy:
    get = settings.get
    spread = "spark.deploy.spreadOutApps"
    worker_timeout = get("spark.worker.timeout")
    recovery_timeout = get("spark.deploy.recoveryTimeout")
    return Policy(
        spread_out_apps=get(spread) if settings.is_set(spread) else get("spark.deploy.spreadOut"),
        spread_out_drivers=get("spark.deploy.spreadOutDrivers"),
        worker_selection=get("spark.deploy.workerSelectionPolicy"),
        default_cores=get("spark.deploy.defaultCores"),
        max_drivers=get("spark.deploy.maxDrivers"),
        max_executor_retries=get("spark.deploy.maxExecutorRetries"),
        retained_apps=get("spark.deploy.retainedApplications"),
        retained_drivers=get("spark.deploy.retainedDrivers"),
        worker_timeout=worker_timeout,
        recovery_timeout=worker_timeout if recovery_timeout is None else recovery_timeout,
        reconnect_timeout=get("spark.stoker.worker.reconnectTimeout"),
        dead_worker_persistence=get("spark.dead.worker.persistence"),
        supervise_backoff_cap=get("spark.stoker.supervise.maxBackoff"),
        executor_backoff_cap=get("spark.stoker.executor.maxBackoff"),
        watches=get("spark.stoker.limits.watches"),
    )
