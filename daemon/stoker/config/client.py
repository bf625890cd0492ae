"""A client's settings: the masters, the keys, and the properties and environment of a submission."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from stoker.config import types
from stoker.config.common import person_dir, person_keys_dir
from stoker.config.ineffective import in_vain
from stoker.config.sources import Setting, Settings, load_settings, unknown_properties
from stoker.core.model.addresses import address_of
from stoker.core.model.resources import amounts_in
from stoker.errors import ConfigError, UsageError

# The submitter's SPARK_* variables go with the driver (all, if not filtered), except what describes the submitter's own
# machine (spec 2.4).
_NOT_FORWARDED = frozenset(
    {"SPARK_ENV_LOADED", "SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME"}
)
# As spark-submit reads them where the property is not set.
_DEFAULTS_FROM_ENVIRONMENT = {
    "SPARK_EXECUTOR_CORES": "spark.executor.cores",
    "SPARK_EXECUTOR_MEMORY": "spark.executor.memory",
    "SPARK_DRIVER_MEMORY": "spark.driver.memory",
}
_HOW_TO = "give --master spark://HOST:PORT, or set MASTER, or start a cluster here with playbooks/start-all.yml"


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True):
    masters: tuple[str, ...]  # HOST:PORT each
    keys_dir: Path
    authenticate: bool
    properties: dict[str, str] = msgspec.field(default_factory=dict)  # spark-defaults and --conf
    forwarded_env: dict[str, str] = msgspec.field(default_factory=dict)
    waits: bool = False  # a submission waits for the driver's end
    warnings: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return "spark://" + ",".join(self.masters)


def add_client_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--master", metavar="URL", help="spark://HOST:PORT[,HOST:PORT...]")


def client_config(args: argparse.Namespace, environ: Mapping[str, str]) -> ClientConfig:
    """Raises UsageError when no master is named anywhere. ``args`` may have ``master``, ``conf``, ``properties_file``."""
    settings = load_settings(environ, properties_file=getattr(args, "properties_file", None))
    for text in getattr(args, "conf", None) or ():
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise UsageError(f"--conf {text!r} is not NAME=VALUE")
        settings.properties[name.strip()] = Setting(value, "--conf")
    chosen_file = getattr(args, "properties_file", None)
    by_source = {name: setting.source for name, setting in settings.properties.items()}
    settings.warnings += doubts((name for name, source in by_source.items() if source == "--conf"), "--conf")
    settings.warnings += in_vain(name for name, source in by_source.items() if source == chosen_file)
    for variable, name in _DEFAULTS_FROM_ENVIRONMENT.items():
        chosen = settings.variable(variable)
        if chosen and not settings.is_set(name):
            settings.properties[name] = Setting(chosen, settings.origins.get(variable, variable))
    for name in (
        *("spark.authenticate", "spark.cores.max", "spark.executor.cores", "spark.executor.memory"),
        "spark.driver.memory",
    ):
        settings.get(name)  # an ill-typed value is rejected here, not by the cluster
    properties = {name: setting.value for name, setting in settings.properties.items()}
    try:
        for prefix in ("spark.driver", "spark.executor"):
            amounts_in(properties, prefix)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    filtered = settings.get("spark.standalone.submit.filterEnvironment")
    return ClientConfig(
        masters=_masters(getattr(args, "master", None), settings),
        keys_dir=person_keys_dir(settings),
        authenticate=settings.get("spark.authenticate"),
        properties=properties,
        forwarded_env={name: value for name, value in environ.items() if _is_forwarded(name, value, filtered)},
        waits=settings.get("spark.standalone.submit.waitAppCompletion"),
        warnings=tuple(settings.warnings),
    )


def doubts(names: Iterable[str], source: str) -> list[str]:
    """Return a line for each property that is probably misspelt, and for those that were set for one submission in vain."""
    said = {name: Setting("", source) for name in names}
    return unknown_properties(said) + in_vain(said)


def _is_forwarded(name: str, value: str, filtered: bool) -> bool:
    wanted = name.startswith("SPARK_") if filtered else not name.startswith("STOKER_")
    return wanted and name not in _NOT_FORWARDED and "\0" not in value


def _masters(chosen: str | None, settings: Settings) -> tuple[str, ...]:
    """--master, else $MASTER, else spark.master, else spark-env's host and port, else the client profile."""
    if chosen is not None:
        return types.parse_master_url(chosen)
    url = settings.parsed(types.parse_master_url, "MASTER")
    if url is not None:
        return tuple(url)
    if settings.is_set("spark.master"):
        return tuple(settings.get("spark.master"))
    host = settings.variable("SPARK_MASTER_HOST", "SPARK_MASTER_IP")
    port = settings.parsed(types.parse_port, "SPARK_MASTER_PORT")
    if host:
        return types.parse_master_url(f"spark://{address_of(host, port or types.DEFAULT_PORT)}")
    for folder in (person_dir(settings), settings.conf_dir):
        with contextlib.suppress(OSError):
            if lines := (folder / "client").read_text().split():
                return types.parse_master_url(lines[0])
    raise UsageError(f"no master is known: {_HOW_TO}")


def user_name() -> str:
    """Return the name of the user who runs this; the number where the user has no name, as in a container."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if os.environ.get(variable):
            return os.environ[variable]
    try:
        import pwd  # noqa: PLC0415 - Unix only

        return pwd.getpwuid(os.getuid()).pw_name
    except ImportError:
        return "unknown"
    except KeyError:
        return str(os.getuid())
